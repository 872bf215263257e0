import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { requirements } from '../../lib/binding/module.js';
import type { WeightPlan, WeightPlanEntry } from '../../lib/binding/types.js';
import type { ErrorCode } from '../../lib/errors.js';
import { config, create, PROJECTION, planOf, removeFiles, TOKEN_EMBEDDING, tokens } from './tiny.js';

afterAll(removeFiles);

type Source = WeightPlanEntry['source'];

/** Returns a valid plan with a modified entry for the token embedding. */
function changed(entry: Partial<WeightPlanEntry>, source: Partial<Source> = {}): WeightPlan {
  const plan = planOf();
  return {
    ...plan,
    entries: plan.entries.map((old) =>
      old.name === TOKEN_EMBEDDING ? { ...old, ...entry, source: { ...old.source, ...source } } : old,
    ),
  };
}

const rows = (start: number, end: number) => ({ op: 'rows', start, end }) as const;

describe('rejects a plan that reads out of bounds or is inconsistent', () => {
  it.each<[string, ErrorCode, () => WeightPlan]>([
    ['an offset after the end of the file', 'INVALID_FILE', () => changed({}, { offset: 1e9 })],
    [
      'the largest safe integer as offset',
      'INVALID_FILE',
      () => changed({}, { offset: Number.MAX_SAFE_INTEGER }),
    ],
    ['a negative offset', 'INVALID_OPTION', () => changed({}, { offset: -4 })],
    ['a fractional offset', 'INVALID_OPTION', () => changed({}, { offset: 0.5 })],
    ['an offset beyond 2^53', 'INVALID_OPTION', () => changed({}, { offset: 2 ** 60 })],
    ['an offset of NaN', 'INVALID_OPTION', () => changed({}, { offset: Number.NaN })],
    ['more bytes than the file has', 'INVALID_FILE', () => changed({}, { length: 1e9 })],
    ['fewer bytes than the shape', 'INVALID_FILE', () => changed({}, { length: 4 })],
    ['more bytes than the shape', 'INVALID_FILE', () => changed({}, { length: 10 * 32 * 4 + 4 })],
    ['a wider type than the bytes', 'INVALID_FILE', () => changed({}, { type: 'F64' })],
    ['a dimension of 0', 'INVALID_FILE', () => changed({}, { shape: [0, 32], length: 0 })],
    ['a dimension of 2^32', 'INVALID_FILE', () => changed({}, { shape: [2 ** 32, 32] })],
    ['a shape whose product overflows', 'INVALID_FILE', () => changed({}, { shape: [2 ** 40, 2 ** 40] })],
    ['negative dimensions', 'INVALID_FILE', () => changed({}, { shape: [-10, -32] })],
    ['no shape', 'INVALID_OPTION', () => changed({}, { shape: undefined as unknown as number[] })],
    ['a thousand dimensions', 'INVALID_OPTION', () => changed({}, { shape: new Array(1000).fill(1) })],
    ['an unknown type', 'INVALID_OPTION', () => changed({}, { type: 'I64' as 'F32' })],
    ['an unknown storage', 'INVALID_OPTION', () => changed({ storage: 'q2' as 'f32' })],
    ['rows after the last', 'INVALID_FILE', () => changed({ transform: rows(1, 11) })],
    ['rows before the first', 'INVALID_FILE', () => changed({ transform: rows(-1, 9) })],
    ['an empty range of rows', 'INVALID_FILE', () => changed({ transform: rows(5, 5) })],
    ['a reversed range of rows', 'INVALID_FILE', () => changed({ transform: rows(6, 5) })],
    [
      'a number of rows that differs from the declared shape',
      'SHAPE_MISMATCH',
      () => changed({ transform: rows(0, 9) }),
    ],
    ['a transposition to another shape', 'SHAPE_MISMATCH', () => changed({ transform: { op: 'transpose' } })],
    [
      'a transposition of a vector',
      'INVALID_FILE',
      () => changed({ transform: { op: 'transpose' } }, { shape: [320] }),
    ],
    ['an unknown transform', 'INVALID_OPTION', () => changed({ transform: { op: 'turn' } as never })],
    ...(
      [
        ['another number of scales than rows', { count: 9 }],
        ['a negative number of scales', { count: -1 }],
        ['another number of scales than blocks', { count: 10, block: 16 }],
        ['blocks that do not divide the columns', { count: 512, block: 24 }],
        ['blocks of negative size', { count: 1, block: -32 }],
        ['scales after the end of the file', { offset: 1e9 }],
        ['a factor after the end of the file', { factor: 1e9 }],
        ['scales in blocks of codes', { type: 'I4' as 'F32' }],
        ['a rotation of groups that are no power of 4', { rotation: 8 }],
        ['a rotation of more columns than there are', { rotation: 64 }],
      ] as const
    ).map(([what, scale]): [string, ErrorCode, () => WeightPlan] => [
      what,
      'INVALID_FILE',
      () => changed({}, { scale: { type: 'F32', offset: 0, count: 10, ...scale } }),
    ]),
    [
      'scales of a transposed matrix',
      'INVALID_FILE',
      () =>
        changed(
          { transform: { op: 'transpose' } },
          { shape: [32, 10], scale: { type: 'F32', offset: 0, count: 1 } },
        ),
    ],
    [
      'a fractional number of scales',
      'INVALID_OPTION',
      () => changed({}, { scale: { type: 'F32', offset: 0, count: 0.5 } }),
    ],
    ['a file that the plan does not list', 'INVALID_FILE', () => changed({}, { file: 1 })],
    ['a declared shape that differs from the model', 'SHAPE_MISMATCH', () => changed({ shape: [32, 10] })],
    ['a file that does not exist', 'FILE_NOT_FOUND', () => ({ ...planOf(), files: ['/no/such/file'] })],
    ['a folder', 'INVALID_FILE', () => ({ ...planOf(), files: [dirname(planOf().files[0]!)] })],
    ['no files', 'INVALID_OPTION', () => ({ entries: planOf().entries }) as unknown as WeightPlan],
    ['no entries', 'MISSING_TENSOR', () => ({ ...planOf(), entries: [] })],
  ])('%s: %s', async (_what, code, plan) => {
    await expect(create(plan())).rejects.toMatchObject({ name: 'SafelightError', code });
  });

  it('a folder instead of a file', async () => {
    const plan = planOf();
    const folder = join(dirname(plan.files[0]!), 'sub');
    mkdirSync(folder);
    await expect(create({ ...plan, files: [folder] })).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });

  it('a duplicate weight', async () => {
    const plan = planOf();
    const twice = { ...plan, entries: [...plan.entries, plan.entries[0]!] };
    await expect(create(twice)).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });
});

describe('required weights', () => {
  it('are named in the error if they are missing', async () => {
    const plan = planOf();
    const entries = plan.entries.filter(({ name }) => name !== PROJECTION);
    await expect(create({ ...plan, entries })).rejects.toMatchObject({
      code: 'MISSING_TENSOR',
      message: `The model has no tensor ${PROJECTION} of shape [32, 32]`,
    });
  });

  it('may have dimensions of size 1, and unused weights are not read', async () => {
    const plan = planOf();
    const entries = plan.entries.map((entry) =>
      entry.name === PROJECTION ? { ...entry, shape: [32, 32, 1, 1] } : entry,
    );
    const unused = {
      ...plan.entries[0]!,
      name: 'unused',
      source: { ...plan.entries[0]!.source, offset: 1e12 },
    };
    const module = await create({ ...plan, entries: [...entries, unused] });
    expect((await module.run('encode', tokens(1))).outputs.hidden?.shape).toEqual([1, 1, 32]);
    module.dispose();
  });

  it('must be f32 for norms, not quantized for embeddings, and have rows of whole blocks', async () => {
    const stored = (target: string, storage: 'f16' | 'q8_0', modelConfig = config) => {
      const plan = planOf(modelConfig);
      const entries = plan.entries.map((entry) => (entry.name === target ? { ...entry, storage } : entry));
      return create({ ...plan, entries }, {}, modelConfig);
    };
    const bad = { code: 'INVALID_OPTION' };
    await expect(stored('text_model.final_layer_norm.bias', 'f16')).rejects.toMatchObject(bad);
    await expect(stored(TOKEN_EMBEDDING, 'q8_0')).rejects.toMatchObject(bad);
    const narrow = { ...config, hidden_size: 16, projection_dim: 16 };
    await expect(stored(PROJECTION, 'q8_0', narrow)).rejects.toMatchObject({
      ...bad,
      message: `Cannot store ${PROJECTION} as q8_0: its rows of 16 elements are not a multiple of the block size 32`,
    });
  });
});

describe('rejects an invalid config', () => {
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;

  it.each<[string, unknown, ErrorCode]>([
    ['a cycle', cyclic, 'INVALID_OPTION'],
    ['a string instead of a number', { ...config, hidden_size: '32' }, 'INVALID_OPTION'],
    ['a fraction', { ...config, hidden_size: 32.5 }, 'INVALID_OPTION'],
    ['null', null, 'INVALID_OPTION'],
    ['a function', { ...config, hidden_act: () => 1 }, 'INVALID_OPTION'],
    ['a million layers', { ...config, num_hidden_layers: 1e6 }, 'UNSUPPORTED_MODEL'],
  ])('%s', (_what, invalid, code) => {
    expect(() => requirements('text_encoder', invalid as never)).toThrow(
      expect.objectContaining({ name: 'SafelightError', code }),
    );
  });

  it('an unknown model kind', () => {
    expect(() => requirements('toaster' as never, config)).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_MODEL' }),
    );
  });
});
