import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { requirements } from '../../lib/binding/module.js';
import type { WeightPlan, WeightPlanEntry } from '../../lib/binding/types.js';
import type { ErrorCode } from '../../lib/errors.js';
import { config, create, PROJECTION, planOf, removeFiles, TOKEN_EMBEDDING, tokens } from './tiny.js';

afterAll(removeFiles);

type Source = WeightPlanEntry['source'];

/** A good plan in which the token embedding's entry is another. */
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

describe('a plan that would read foreign memory or contradicts itself is refused', () => {
  it.each<[string, ErrorCode, () => WeightPlan]>([
    ['an offset behind the end', 'INVALID_FILE', () => changed({}, { offset: 1e9 })],
    ['the largest offset there is', 'INVALID_FILE', () => changed({}, { offset: Number.MAX_SAFE_INTEGER })],
    ['a negative offset', 'INVALID_OPTION', () => changed({}, { offset: -4 })],
    ['half an offset', 'INVALID_OPTION', () => changed({}, { offset: 0.5 })],
    ['an offset beyond 2^53', 'INVALID_OPTION', () => changed({}, { offset: 2 ** 60 })],
    ['an offset that is no number', 'INVALID_OPTION', () => changed({}, { offset: Number.NaN })],
    ['more bytes than the file has', 'INVALID_FILE', () => changed({}, { length: 1e9 })],
    ['fewer bytes than the shape', 'INVALID_FILE', () => changed({}, { length: 4 })],
    ['more bytes than the shape', 'INVALID_FILE', () => changed({}, { length: 10 * 32 * 4 + 4 })],
    ['a wider type than the bytes', 'INVALID_FILE', () => changed({}, { type: 'F64' })],
    ['a side of 0', 'INVALID_FILE', () => changed({}, { shape: [0, 32], length: 0 })],
    ['a side of 2^32', 'INVALID_FILE', () => changed({}, { shape: [2 ** 32, 32] })],
    ['sides whose product overflows', 'INVALID_FILE', () => changed({}, { shape: [2 ** 40, 2 ** 40] })],
    ['a negative side', 'INVALID_FILE', () => changed({}, { shape: [-10, -32] })],
    ['no shape', 'INVALID_OPTION', () => changed({}, { shape: undefined as unknown as number[] })],
    ['a thousand dimensions', 'INVALID_OPTION', () => changed({}, { shape: new Array(1000).fill(1) })],
    ['an unknown type', 'INVALID_OPTION', () => changed({}, { type: 'I64' as 'F32' })],
    ['an unknown storage', 'INVALID_OPTION', () => changed({ storage: 'q2' as 'f32' })],
    ['rows behind the last', 'INVALID_FILE', () => changed({ transform: rows(1, 11) })],
    ['rows before the first', 'INVALID_FILE', () => changed({ transform: rows(-1, 9) })],
    ['no rows', 'INVALID_FILE', () => changed({ transform: rows(5, 5) })],
    ['rows backwards', 'INVALID_FILE', () => changed({ transform: rows(6, 5) })],
    ['another number of rows than announced', 'SHAPE_MISMATCH', () => changed({ transform: rows(0, 9) })],
    ['a transposition to another shape', 'SHAPE_MISMATCH', () => changed({ transform: { op: 'transpose' } })],
    [
      'a transposition of a vector',
      'INVALID_FILE',
      () => changed({ transform: { op: 'transpose' } }, { shape: [320] }),
    ],
    ['an unknown transform', 'INVALID_OPTION', () => changed({ transform: { op: 'turn' } as never })],
    ['a file that the plan does not list', 'INVALID_FILE', () => changed({}, { file: 1 })],
    ['an announced shape that the model does not have', 'SHAPE_MISMATCH', () => changed({ shape: [32, 10] })],
    ['a file that does not exist', 'FILE_NOT_FOUND', () => ({ ...planOf(), files: ['/no/such/file'] })],
    ['a folder', 'INVALID_FILE', () => ({ ...planOf(), files: [dirname(planOf().files[0]!)] })],
    ['no files', 'INVALID_OPTION', () => ({ entries: planOf().entries }) as unknown as WeightPlan],
    ['no entries', 'MISSING_TENSOR', () => ({ ...planOf(), entries: [] })],
  ])('%s: %s', async (_what, code, plan) => {
    await expect(create(plan())).rejects.toMatchObject({ name: 'SafelightError', code });
  });

  it('an empty file', async () => {
    const plan = planOf();
    const folder = join(dirname(plan.files[0]!), 'sub');
    mkdirSync(folder);
    await expect(create({ ...plan, files: [folder] })).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });

  it('a weight that is given twice', async () => {
    const plan = planOf();
    const twice = { ...plan, entries: [...plan.entries, plan.entries[0]!] };
    await expect(create(twice)).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });
});

describe('what the model needs', () => {
  it('is named where it is missing', async () => {
    const plan = planOf();
    const entries = plan.entries.filter(({ name }) => name !== PROJECTION);
    await expect(create({ ...plan, entries })).rejects.toMatchObject({
      code: 'MISSING_TENSOR',
      message: `The model has no tensor ${PROJECTION} of shape [32, 32]`,
    });
  });

  it('may come with ones in its shape, and what it does not need is not read', async () => {
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

  it('keeps norms in f32, embeddings unquantized, and rows of whole blocks', async () => {
    const stored = (which: string, storage: 'f16' | 'q8_0', how = config) => {
      const plan = planOf(how);
      const entries = plan.entries.map((entry) => (entry.name === which ? { ...entry, storage } : entry));
      return create({ ...plan, entries }, {}, how);
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

describe('a config that makes no sense', () => {
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;

  it.each<[string, unknown, ErrorCode]>([
    ['a cycle', cyclic, 'INVALID_OPTION'],
    ['a string for a number', { ...config, hidden_size: '32' }, 'INVALID_OPTION'],
    ['a fraction', { ...config, hidden_size: 32.5 }, 'INVALID_OPTION'],
    ['nothing', null, 'INVALID_OPTION'],
    ['a function', { ...config, hidden_act: () => 1 }, 'INVALID_OPTION'],
    ['a million layers', { ...config, num_hidden_layers: 1e6 }, 'UNSUPPORTED_MODEL'],
  ])('%s', (_what, how, code) => {
    expect(() => requirements('text_encoder', how as never)).toThrow(
      expect.objectContaining({ name: 'SafelightError', code }),
    );
  });

  it('an unknown kind', () => {
    expect(() => requirements('toaster' as never, config)).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_MODEL' }),
    );
  });
});
