/** Patch sets of native modules: a patched module computes the same as one whose weights contain the changes. */
import { afterAll, describe, expect, it } from 'vitest';
import { NativeModule } from '../../lib/binding/module.js';
import type {
  ModuleKind,
  NativeConfig,
  NativeTensor,
  PatchPlan,
  PlannedPatch,
  RunResult,
  WeightPlanEntry,
} from '../../lib/binding/types.js';
import { difference } from '../support/native-modules.js';
import { config, noise, planOf, product, removeFiles, tokens, writeFile } from './tiny.js';

afterAll(removeFiles);

const AUTOENCODER = {
  in_channels: 3,
  out_channels: 3,
  latent_channels: 3,
  block_out_channels: [8, 12],
  layers_per_block: 1,
  norm_num_groups: 2,
  norm_eps: 1e-6,
  mid_attention: true,
  use_quant_conv: true,
  use_post_quant_conv: false,
} satisfies NativeConfig;

interface Subject {
  readonly kind: ModuleKind;
  readonly config: NativeConfig;
  readonly entry: string;
  readonly inputs: Record<string, NativeTensor>;
  readonly output: string;
  /** A node that can be tapped. */
  readonly tap: string;
}

const TEXT: Subject = {
  kind: 'text_encoder',
  config,
  entry: 'encode',
  inputs: tokens(1, 7, 3, 9, 0),
  output: 'hidden',
  tap: 'text_model.embeddings',
};
const next = noise(5);
const IMAGE: Subject = {
  kind: 'autoencoder_kl',
  config: AUTOENCODER,
  entry: 'encode',
  inputs: { image: { data: Float32Array.from({ length: 2 * 3 * 13 * 10 }, next), shape: [2, 3, 13, 10] } },
  output: 'moments',
  tap: 'encoder.conv_in',
};

/** A change to rows and columns of a weight: low-rank factors, or a difference if there is no rank. */
interface Change {
  readonly subject: Subject;
  readonly target: string;
  readonly shape: readonly number[];
  readonly rank?: number;
  readonly rows?: readonly [number, number];
  readonly columns?: readonly [number, number];
  /** Selected rows of a stored factor that has more rows. */
  readonly factorRows?: readonly [number, number];
}

const FC1 = { subject: TEXT, target: 'text_model.encoder.layers.1.mlp.fc1.weight', shape: [64, 32] };
const Q = { subject: TEXT, target: 'text_model.encoder.layers.0.self_attn.q_proj.weight', shape: [32, 32] };
const CONV_IN = { subject: IMAGE, target: 'encoder.conv_in.weight', shape: [8, 3, 3, 3] };
const DOWN = {
  subject: IMAGE,
  target: 'encoder.down_blocks.0.downsamplers.0.conv.weight',
  shape: [8, 8, 3, 3],
};
const SHORTCUT = {
  subject: IMAGE,
  target: 'encoder.down_blocks.1.resnets.0.conv_shortcut.weight',
  shape: [12, 8],
};

const changes: readonly (readonly [string, Change])[] = [
  ['factors of rank 1', { ...FC1, rank: 1 }],
  ['factors of rank 5', { ...FC1, rank: 5 }],
  ['a full difference', { ...Q }],
  ['factors of some rows', { ...FC1, rank: 3, rows: [7, 23] }],
  ['factors of some columns', { ...Q, rank: 3, columns: [3, 20] }],
  ['a difference of some rows and columns', { ...Q, rows: [16, 32], columns: [0, 9] }],
  ['some rows of the factors', { ...Q, rank: 4, factorRows: [32, 64] }],
  ['factors of a convolution', { ...CONV_IN, rank: 1 }],
  ['factors of the first inputs of a convolution', { ...CONV_IN, rank: 4, columns: [0, 2] }],
  ['a difference of a convolution', { ...CONV_IN }],
  ['factors of some rows of a convolution', { ...CONV_IN, rank: 3, rows: [2, 7] }],
  ['factors of a convolution of stride 2', { ...DOWN, rank: 3 }],
  ['factors of a 1x1 convolution', { ...SHORTCUT, rank: 2 }],
];

const LOW_RANK = { kind: 'low_rank', factors: { up: 'up', down: 'down' } } as const;

/** Returns the patch of a change, and the weight's values before and after it. */
function createPatch(
  { target, shape, rank, rows, columns, factorRows }: Change,
  seed: number,
  scale: number,
) {
  const random = noise(seed);
  const [out = 0, inputs = 0, ...kernel] = shape;
  const [r0, r1] = rows ?? [0, out];
  const [c0, c1] = columns ?? [0, inputs];
  const reads = [c1 - c0, ...kernel];
  const stored = factorRows ? factorRows[1] + 5 : r1 - r0;
  const read = product(reads);
  const values = (count: number) => Float32Array.from({ length: count }, () => random() * 1.5);
  const down = rank === undefined ? undefined : values(rank * read);
  const up = values(stored * (rank ?? read));
  const delta = (row: number, at: number): number => {
    const storedRow = row + (factorRows?.[0] ?? 0);
    if (!down || rank === undefined) return up[storedRow * read + at]!;
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += up[storedRow * rank + k]! * down[k * read + at]!;
    return sum;
  };
  const before = (i: number) => Math.sin(i * 12.9898) * 0.3;
  const area = product(kernel);
  const after = (i: number) => {
    const row = Math.floor(i / (inputs * area));
    const column = Math.floor(i / area) % inputs;
    const isChanged = row >= r0 && row < r1 && column >= c0 && column < c1;
    return isChanged ? before(i) + scale * delta(row - r0, (column - c0) * area + (i % area)) : before(i);
  };
  const range = factorRows ? { rows: factorRows } : {};
  const factors = down
    ? [
        { name: 'up', data: up, shape: [stored, rank!], ...range },
        { name: 'down', data: down, shape: [rank!, ...reads] },
      ]
    : [{ name: 'full', data: up, shape: [stored, ...reads], ...range }];
  const patch: PlannedPatch = {
    target,
    scale,
    ...(rows ? { rows } : {}),
    ...(columns ? { columns } : {}),
    ...(down ? LOW_RANK : { kind: 'full' as const, factors: { full: 'full' } }),
  };
  return { before, after, plan: patchPlan(factors, [patch]) };
}

interface Factor {
  readonly name: string;
  readonly data: Float32Array;
  readonly shape: readonly number[];
  readonly rows?: readonly [number, number];
}

function patchPlan(factors: readonly Factor[], patches: readonly PlannedPatch[]): PatchPlan {
  let offset = 0;
  const entries = factors.map(({ name, data, shape, rows }): WeightPlanEntry => {
    const source = { file: 0, offset, length: data.byteLength, type: 'F32' as const, shape };
    offset += data.byteLength;
    return {
      name,
      shape: rows ? [rows[1] - rows[0], ...shape.slice(1)] : shape,
      source,
      ...(rows ? { transform: { op: 'rows', start: rows[0], end: rows[1] } as const } : {}),
      storage: 'f32',
    };
  });
  const bytes = Buffer.concat(factors.map(({ data }) => Buffer.from(data.buffer)));
  return { weights: { files: [writeFile(bytes)], entries }, patches, merged: [] };
}

function load(
  { kind, config: modelConfig }: Subject,
  values: Record<string, (i: number) => number>,
  stockOps: boolean,
): Promise<NativeModule> {
  const plan = planOf(modelConfig, values, kind);
  return NativeModule.create(kind, modelConfig, plan, { backend: 'cpu', threads: 2, stockOps });
}

describe.each(changes)('a patch with %s', (_, change) => {
  it.each(['our kernels', 'stock operations', 'taps', 'a rewritten copy'])(
    'gives the same output as the changed weight, with %s',
    async (mode) => {
      const { subject, target } = change;
      const { before, after, plan } = createPatch(change, 3, -0.7);
      const stock = mode === 'stock operations';
      const patched = await load(subject, { [target]: before }, stock);
      const merged = await load(subject, { [target]: after }, stock);
      const run = async (module: NativeModule, patches?: string) =>
        (
          await module.run(subject.entry, subject.inputs, {
            taps: mode === 'taps' ? [subject.tap] : [],
            ...(patches ? { patches } : {}),
          })
        ).outputs[subject.output]!;
      const plain = await run(patched);
      const merge = mode === 'a rewritten copy' ? [{ target, storage: 'f32' as const }] : [];
      await patched.setPatches('a', { ...plan, merged: merge });
      const expected = await run(merged);
      expect(difference(await run(patched, 'a'), expected)).toBeLessThan(1e-5);
      expect(difference(plain, expected)).toBeGreaterThan(0.01);
      expect(await run(patched)).toEqual(plain);
      patched.dispose();
      merged.dispose();
    },
  );
});

describe('a patch set', () => {
  const target = Q.target;
  const good = () => createPatch({ ...Q, rank: 2 }, 3, 1);

  it('is rejected if it does not match the module, and the previous set remains', async () => {
    const { plan, before } = good();
    const module = await load(TEXT, { [target]: before }, false);
    await module.setPatches('a', plan);
    const run = () => module.run(TEXT.entry, TEXT.inputs, { patches: 'a' });
    const expected = await run();
    const { weights, patches } = plan;
    const [patch] = patches as [PlannedPatch];
    const changed = (change: Partial<PlannedPatch>): PatchPlan => ({
      weights,
      patches: [{ ...patch, ...change }],
      merged: [],
    });
    const bad: readonly (readonly [string, PatchPlan])[] = [
      ['ADAPTER_MISMATCH', changed({ target: 'text_model.nothing.weight' })],
      ['ADAPTER_MISMATCH', changed({ target: 'text_model.final_layer_norm.weight' })],
      ['ADAPTER_MISMATCH', changed({ target: 'text_model.embeddings.token_embedding.weight' })],
      ['ADAPTER_MISMATCH', changed({ target: FC1.target })],
      ['ADAPTER_MISMATCH', changed({ rows: [0, 16] })],
      ['ADAPTER_MISMATCH', changed({ rows: [8, 33] })],
      ['ADAPTER_MISMATCH', changed({ rows: [8, 8] })],
      ['ADAPTER_MISMATCH', changed({ columns: [-1, 31] })],
      ['ADAPTER_MISMATCH', changed({ kind: 'full', factors: { full: 'up' } })],
      ['ADAPTER_MISMATCH', changed({ kind: 'full', factors: { full: 'nothing' } })],
      ['ADAPTER_MISMATCH', changed({ factors: { up: 'down', down: 'up' } })],
      ['INVALID_OPTION', changed({ scale: Number.NaN })],
      ['INVALID_OPTION', changed({ scale: Number.POSITIVE_INFINITY })],
      ['INVALID_OPTION', changed({ rows: [0.5, 8] })],
      ['FILE_NOT_FOUND', { ...plan, weights: { ...weights, files: ['/nowhere.bin'] } }],
      [
        'INVALID_FILE',
        {
          ...plan,
          weights: {
            ...weights,
            entries: weights.entries.map((entry) => ({
              ...entry,
              source: { ...entry.source, offset: entry.source.offset + 1e6 },
            })),
          },
        },
      ],
    ];
    for (const [code, invalid] of bad)
      await expect(module.setPatches('a', invalid), JSON.stringify(invalid.patches)).rejects.toMatchObject({
        code,
      });
    expect(await run()).toMatchObject({ outputs: expected.outputs });
    module.dispose();
  });

  it('is rejected if it is not a valid patch plan', async () => {
    const module = await load(TEXT, {}, false);
    const weights = { files: [], entries: [] };
    const full = { target, scale: 1, kind: 'full', factors: { full: 'a' } };
    const values: unknown[] = [
      ...[
        null,
        1,
        {},
        { weights },
        { weights, patches: 1 },
        { weights, patches: [1] },
        { weights, patches: [{}] },
      ],
      ...[
        { scale: '1' },
        { kind: undefined },
        { kind: 'none' },
        { factors: undefined },
        { factors: { full: 1 } },
        { rows: [1] },
        { axis: 'depth' },
        { constraint: 'a' },
      ].map((change) => ({ weights, merged: [], patches: [{ ...full, ...change }] })),
      { weights, patches: [full] },
      ...[1, [1], [{}], [{ target }], [{ target, storage: 'q2' }]].map((merged) => ({
        weights,
        patches: [full],
        merged,
      })),
      // A form that cannot be computed next to the weight's product.
      { weights, patches: [{ ...full, kind: 'multiply', factors: { weight: 'a' } }], merged: [] },
    ];
    for (const value of values)
      await expect(module.setPatches('a', value as PatchPlan), JSON.stringify(value)).rejects.toMatchObject({
        code: 'INVALID_OPTION',
      });
    await expect(module.setPatches('', good().plan)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    module.dispose();
  });

  it('adds patches of the same weight, also if they share their factors', async () => {
    const { plan, before, after } = good();
    const twice = await load(TEXT, { [target]: (i) => 2 * after(i) - before(i) }, false);
    const module = await load(TEXT, { [target]: before }, false);
    await module.setPatches('a', { ...plan, patches: [...plan.patches, ...plan.patches] });
    const expected = (await twice.run(TEXT.entry, TEXT.inputs)).outputs.hidden!;
    const { outputs } = await module.run(TEXT.entry, TEXT.inputs, { patches: 'a' });
    expect(difference(outputs.hidden, expected)).toBeLessThan(1e-5);
    for (const loaded of [twice, module]) loaded.dispose();
  });

  it('can be replaced and removed while runs are in the queue, and is rejected after its module was disposed', async () => {
    const { plan, before } = good();
    const module = await load(TEXT, { [target]: before }, false);
    await module.setPatches('a', plan);
    const run = () => module.run(TEXT.entry, TEXT.inputs, { patches: 'a' });
    const last = ({ outputs }: RunResult) => outputs.hidden!.data.at(-1);
    const first = last(await run());
    const waiting = [
      run(),
      run(),
      module.setPatches('a', createPatch({ ...Q, rank: 1 }, 9, 1).plan),
      run(),
    ] as const;
    const removed = module.setPatches('a', { ...plan, patches: [] });
    const after = run();
    await expect(after).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    expect(last(await waiting[1])).toBe(first);
    expect(last(await waiting[3])).not.toBe(first);
    await removed;
    expect(module.memory().patches).toBe(0);
    const late = module.setPatches('a', plan);
    module.dispose();
    // The call may already have finished.
    await late.catch((error: unknown) => expect(error).toMatchObject({ code: 'DISPOSED' }));
    await expect(module.setPatches('a', plan)).rejects.toMatchObject({ code: 'DISPOSED' });
  });
});
