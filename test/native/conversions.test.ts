import { afterAll, describe, expect, it } from 'vitest';
import type { SourceType, StorageType } from '../../lib/binding/types.js';
import {
  config,
  create,
  embeddingsOf,
  FINAL_NORM,
  noise,
  POSITIONS,
  PROJECTION,
  planOf,
  removeFiles,
  replaced,
  TOKEN_EMBEDDING,
  tokens,
} from './tiny.js';

afterAll(removeFiles);

const ROWS = config.vocab_size;
const COLUMNS = config.hidden_size;
const noPositions = { [POSITIONS]: () => 0 };

/** Loads the embedding table from these bytes and returns it as the graph reads it. */
function readBack(
  bytes: Uint8Array,
  type: SourceType,
  entry: Partial<Parameters<typeof replaced>[3]> = {},
): Promise<Float32Array> {
  const plan = planOf(config, noPositions);
  return embeddingsOf(replaced(plan, TOKEN_EMBEDDING, bytes, { type, shape: [ROWS, COLUMNS], ...entry }));
}

/** Returns `count` elements of `size` bytes, each written by `write`. */
function filled(
  size: number,
  write: (view: DataView, at: number, index: number) => void,
  count = ROWS * COLUMNS,
) {
  const bytes = new Uint8Array(count * size);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i++) write(view, i * size, i);
  return bytes;
}

function repeated(values: readonly number[], count = ROWS * COLUMNS): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => values[i % values.length]!);
}

const EXACT = [0, 1, -2, 0.5, 65504, -0.0000152587890625, 3.140625, 2 ** -24];

describe('reads the values of every source type exactly', () => {
  it('F64', async () => {
    const values = [Math.PI, -1e-40, 1e30, 0.1];
    const bytes = filled(8, (view, at, i) => view.setFloat64(at, values[i % 4]!, true));
    expect(await readBack(bytes, 'F64')).toEqual(repeated(values.map(Math.fround)));
  });

  it('F32', async () => {
    const bytes = filled(4, (view, at, i) => view.setFloat32(at, EXACT[i % 8]!, true));
    expect(await readBack(bytes, 'F32')).toEqual(repeated(EXACT));
  });

  it('F16, including subnormal numbers', async () => {
    const bits = [0x0000, 0x3c00, 0xc000, 0x3800, 0x7bff, 0x8100, 0x4248, 0x0001];
    const bytes = filled(2, (view, at, i) => view.setUint16(at, bits[i % 8]!, true));
    expect(await readBack(bytes, 'F16')).toEqual(repeated(EXACT));
  });

  it('BF16', async () => {
    const bits = [0x3f80, 0xc049, 0x0000, 0x7f00];
    const bytes = filled(2, (view, at, i) => view.setUint16(at, bits[i % 4]!, true));
    expect(await readBack(bytes, 'BF16')).toEqual(repeated([1, -3.140625, 0, 2 ** 127]));
  });

  it('F8_E4M3: largest 448, smallest 2^-9', async () => {
    const bits = [0x00, 0x38, 0xb8, 0x7e, 0x01, 0x07, 0x08, 0x41];
    const values = [0, 1, -1, 448, 2 ** -9, 7 * 2 ** -9, 2 ** -6, 2.25];
    expect(
      await readBack(
        filled(1, (view, at, i) => view.setUint8(at, bits[i % 8]!)),
        'F8_E4M3',
      ),
    ).toEqual(repeated(values));
  });

  it('F8_E5M2: largest 57344, smallest 2^-16', async () => {
    const bits = [0x00, 0x3c, 0xbc, 0x7b, 0x01, 0x04, 0x41, 0xc2];
    const values = [0, 1, -1, 57344, 2 ** -16, 2 ** -14, 2.5, -3];
    expect(
      await readBack(
        filled(1, (view, at, i) => view.setUint8(at, bits[i % 8]!)),
        'F8_E5M2',
      ),
    ).toEqual(repeated(values));
  });
});

describe('rounds to the nearest value of the storage type', () => {
  const numbers = [1 + 2 ** -11 + 2 ** -20, -(1 + 2 ** -12), 0.1, 1 + 2 ** -8 + 2 ** -20];
  const bytes = filled(4, (view, at, i) => view.setFloat32(at, numbers[i % 4]!, true));

  it('f16', async () => {
    const rounded = [1 + 2 ** -10, -1, 0.0999755859375, 1 + 2 ** -8];
    expect(await readBack(bytes, 'F32', { storage: 'f16' })).toEqual(repeated(rounded));
  });

  it('bf16', async () => {
    const rounded = [1, -1, 0.10009765625, 1.0078125];
    expect(await readBack(bytes, 'F32', { storage: 'bf16' })).toEqual(repeated(rounded));
  });

  it('copies values that already have the storage type, including infinities and NaN', async () => {
    const bits = [0x7c00, 0xfc00, 0x7e00, 0x3c01];
    const half = filled(2, (view, at, i) => view.setUint16(at, bits[i % 4]!, true));
    const back = await readBack(half, 'F16', { storage: 'f16' });
    expect([...back.slice(0, 4)]).toEqual([Infinity, -Infinity, NaN, 1 + 2 ** -10]);
  });
});

describe('transforms', () => {
  const height = ROWS + 5;
  const table = (rows: number) => filled(4, (view, at, i) => view.setFloat32(at, i, true), rows * COLUMNS);

  it('select rows', async () => {
    const back = await readBack(table(height), 'F32', {
      sourceShape: [height, COLUMNS],
      transform: { op: 'rows', start: 3, end: 3 + ROWS },
    });
    expect(back).toEqual(Float32Array.from({ length: ROWS * COLUMNS }, (_, i) => 3 * COLUMNS + i));
  });

  it.each<[SourceType, StorageType]>([
    ['F32', 'f32'],
    ['F16', 'f16'],
    ['F8_E5M2', 'bf16'],
  ])('transpose a matrix of %s to %s', async (type, storage) => {
    const size = { F32: 4, F16: 2, F8_E5M2: 1 }[type as 'F32' | 'F16' | 'F8_E5M2'];
    // Powers of two of row and column, exact in every type.
    const value = (row: number, column: number) => 2 ** ((row % 5) - (column % 3));
    const bytes = filled(size, (view, at, i) => {
      const x = value(i % ROWS, Math.floor(i / ROWS));
      if (type === 'F32') view.setFloat32(at, x, true);
      else if (type === 'F16') view.setUint16(at, (Math.log2(x) + 15) << 10, true);
      else view.setUint8(at, (Math.log2(x) + 15) << 2);
    });
    const back = await readBack(bytes, type, {
      sourceShape: [COLUMNS, ROWS],
      transform: { op: 'transpose' },
      storage,
    });
    const expected = Float32Array.from({ length: ROWS * COLUMNS }, (_, i) =>
      value(Math.floor(i / COLUMNS), i % COLUMNS),
    );
    expect(back).toEqual(expected);
  });
});

it('assembles a table that is converted in several pieces in order', async () => {
  // 60,000 rows of 32: four pieces of work on two threads.
  const large = { ...config, vocab_size: 60_000 };
  const plan = planOf(large, { ...noPositions, [TOKEN_EMBEDDING]: (i) => i });
  const module = await create(plan, {}, large);
  for (const row of [0, 16_383, 16_384, 32_768, 49_151, 59_999]) {
    const { outputs } = await module.run('encode', tokens(row), { params: { layer: 0, final_norm: false } });
    expect(outputs.hidden!.data[0]).toBe(row * 32);
    expect(outputs.hidden!.data[31]).toBe(row * 32 + 31);
  }
  module.dispose();
});

describe('q8_0', () => {
  // Sets the final norm's weight to 0 and its bias to a unit vector, so that the pooled output is one column of the
  // projection.
  async function column(k: number, weights: Float32Array, storage: StorageType): Promise<Float32Array> {
    const plan = planOf(config, {
      [`${FINAL_NORM}.weight`]: () => 0,
      [`${FINAL_NORM}.bias`]: (i) => (i === k ? 1 : 0),
    });
    const bytes = new Uint8Array(weights.buffer);
    const module = await create(
      replaced(plan, PROJECTION, bytes, { type: 'F32', shape: [COLUMNS, COLUMNS], storage }),
    );
    const inputs = { ...tokens(1, 2), eos_index: { data: Int32Array.of(1), shape: [1] } };
    const { outputs } = await module.run('encode', inputs);
    module.dispose();
    return outputs.pooled!.data as Float32Array;
  }

  it('stores blocks of 32 values as an f16 scale and 8-bit integers', async () => {
    const next = noise(5);
    const weights = Float32Array.from({ length: COLUMNS * COLUMNS }, () => next() * 4);
    for (const k of [0, 13, 31]) {
      const stored = await column(k, weights, 'q8_0');
      for (let row = 0; row < COLUMNS; row++) {
        const block = weights.subarray(row * COLUMNS, (row + 1) * COLUMNS);
        const scale = Math.max(...block.map(Math.abs)) / 127;
        // Half a rounding step, plus the rounding of the scale to 11 bits.
        expect(Math.abs(stored[row]! - block[k]!)).toBeLessThanOrEqual(
          scale * 0.5 + Math.abs(block[k]!) * 2 ** -11,
        );
        const steps = stored[row]! / scale;
        expect(Math.abs(steps - Math.round(steps))).toBeLessThan(127 * 2 ** -11);
      }
    }
  });

  it('differs from f32, which stores weights exactly', async () => {
    const next = noise(5);
    const weights = Float32Array.from({ length: COLUMNS * COLUMNS }, () => next() * 4);
    const exact = await column(3, weights, 'f32');
    expect(exact).toEqual(Float32Array.from({ length: COLUMNS }, (_, row) => weights[row * COLUMNS + 3]!));
    expect(await column(3, weights, 'q8_0')).not.toEqual(exact);
  });
});
