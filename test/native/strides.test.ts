import { afterAll, describe, expect, it } from 'vitest';
import type { WeightPlan, WeightPlanEntry } from '../../lib/binding/types.js';
import {
  config,
  create,
  embeddingsOf,
  POSITIONS,
  planOf,
  product,
  removeFiles,
  replaced,
  TOKEN_EMBEDDING,
  tokens,
} from './tiny.js';

afterAll(removeFiles);

const ROWS = config.vocab_size;
const COLUMNS = config.hidden_size;
type Source = WeightPlanEntry['source'];

/** Returns a plan whose embedding table is read from these numbers with these strides. */
function strided(
  values: readonly number[],
  source: Pick<Source, 'shape' | 'strides'> & Partial<Source>,
  entry: Partial<WeightPlanEntry> = {},
): WeightPlan {
  const bytes = new Uint8Array(Float32Array.from(values).buffer);
  const plan = replaced(planOf(config, { [POSITIONS]: () => 0 }), TOKEN_EMBEDDING, bytes, {
    type: 'F32',
    shape: [ROWS, COLUMNS],
  });
  const entries = plan.entries.map(
    (old): WeightPlanEntry =>
      old.name === TOKEN_EMBEDDING ? { ...old, ...entry, source: { ...old.source, ...source } } : old,
  );
  return { ...plan, entries };
}

const counted = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
/** Returns the table whose element [i, j] is `at(i, j)`. */
const table = (at: (i: number, j: number) => number): Float32Array =>
  Float32Array.from({ length: ROWS * COLUMNS }, (_, k) => at(Math.floor(k / COLUMNS), k % COLUMNS));

describe('reads a strided weight in order', () => {
  it.each<[string, WeightPlan, (i: number, j: number) => number]>([
    [
      'transposed',
      strided(counted(ROWS * COLUMNS), { shape: [ROWS, COLUMNS], strides: [1, ROWS] }),
      (i, j) => i + j * ROWS,
    ],
    [
      'every other row and column',
      strided(counted(2 * ROWS * 2 * COLUMNS - 2 * COLUMNS - 1), {
        shape: [ROWS, COLUMNS],
        strides: [4 * COLUMNS, 2],
      }),
      (i, j) => i * 4 * COLUMNS + j * 2,
    ],
    ['one repeated row', strided(counted(COLUMNS), { shape: [ROWS, COLUMNS], strides: [0, 1] }), (_, j) => j],
    [
      'as a 1x1 convolution',
      strided(counted(ROWS * COLUMNS), { shape: [ROWS, COLUMNS, 1, 1], strides: [1, ROWS, 7, 9] }),
      (i, j) => i + j * ROWS,
    ],
    [
      'selected rows of a larger weight',
      strided(
        counted((ROWS + 3) * COLUMNS),
        { shape: [ROWS + 3, COLUMNS], strides: [1, ROWS + 3] },
        { transform: { op: 'rows', start: 2, end: ROWS + 2 } },
      ),
      (i, j) => i + 2 + j * (ROWS + 3),
    ],
    [
      'transposed twice',
      strided(
        counted(ROWS * COLUMNS),
        { shape: [COLUMNS, ROWS], strides: [1, COLUMNS] },
        { transform: { op: 'transpose' } },
      ),
      (i, j) => i * COLUMNS + j,
    ],
  ])('%s', async (_, plan, at) => {
    expect(await embeddingsOf(plan)).toEqual(table(at));
  });

  it('as f16 and with memory-mapped weights', async () => {
    const halves = new Uint8Array(new Uint16Array(ROWS * COLUMNS).fill(0x3c00).fill(0x4000, 0, ROWS).buffer);
    const plan = replaced(
      planOf(config, { [POSITIONS]: () => 0 }),
      TOKEN_EMBEDDING,
      halves,
      { type: 'F16', shape: [ROWS, COLUMNS], storage: 'f16' },
      2,
    );
    const entries = plan.entries.map((entry) =>
      entry.name === TOKEN_EMBEDDING ? { ...entry, source: { ...entry.source, strides: [1, ROWS] } } : entry,
    );
    const module = await create({ ...plan, entries }, { mapWeights: true });
    const result = await module.run('encode', tokens(0, 5), { params: { layer: 0, final_norm: false } });
    const row = [2, ...Array(COLUMNS - 1).fill(1)];
    expect([...(result.outputs.hidden!.data as Float32Array)]).toEqual([...row, ...row]);
    module.dispose();
  });
});

describe('rejects a plan', () => {
  const shape = [ROWS, COLUMNS];
  const all = counted(product(shape));
  it.each<[string, WeightPlan]>([
    ['whose strides reach beyond its bytes', strided(all, { shape, strides: [COLUMNS + 1, 1] })],
    ['whose strides do not cover all of its bytes', strided(all, { shape, strides: [COLUMNS - 1, 1] })],
    ['with a negative stride', strided(all, { shape, strides: [-COLUMNS, 1] })],
    ['whose strides overflow', strided(all, { shape, strides: [2 ** 52, 2 ** 52] })],
    ['with too few strides', strided(all, { shape, strides: [1] })],
    ['with too many strides', strided(all, { shape, strides: [COLUMNS, 1, 1] })],
  ])('%s', async (_, plan) => {
    await expect(create(plan)).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });

  it('with strides of a quantized type', async () => {
    const plan = strided(counted(((ROWS * COLUMNS) / 32 / 4) * 34), {
      shape,
      strides: [COLUMNS, 1],
      type: 'Q8_0',
    });
    await expect(create(plan)).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });
});
