import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type AnyTensor, type Range, Tensor, type TensorData } from '../../lib/tensor/tensor.js';

interface Case {
  readonly operation: 'cat' | 'stack' | 'repeat' | 'select' | 'slice';
  readonly shapes: number[][];
  readonly arguments: unknown[];
  readonly shape: number[];
  readonly values: number[];
}
/** Written by test/reference/tensor_parts.py (torch). */
const url = new URL('../fixtures/tensor/parts.json', import.meta.url);
const cases: Case[] = JSON.parse(readFileSync(url, 'utf8'));

const TYPES = { f32: Float32Array, f64: Float64Array, i32: Int32Array, u8: Uint8Array };

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

function counting(
  shape: readonly number[],
  first = 0,
  Data: { from(v: number[]): TensorData } = Float32Array,
) {
  return new Tensor<TensorData>(Data.from(Array.from({ length: sizeOf(shape) }, (_, i) => first + i)), shape);
}

function run({ operation, arguments: given }: Case, tensors: AnyTensor[]): AnyTensor {
  const [first] = tensors as [AnyTensor];
  if (operation === 'cat') return Tensor.cat(tensors, given[0] as number);
  if (operation === 'stack') return Tensor.stack(tensors, given[0] as number);
  if (operation === 'repeat') return first.repeat(...(given as number[]));
  if (operation === 'select') return first.select(...(given as [number, number]));
  return first.slice(...(given as Range[]));
}

const code = (expected: string) => expect.objectContaining({ code: expected });

describe.each(Object.entries(TYPES))('operations on %s tensors', (dtype, Data) => {
  it.each(cases)('$operation of $shapes by $arguments matches torch', (one) => {
    // No element counts beyond the range of a byte.
    const expected = Data.from(one.values);
    const result = run(
      one,
      one.shapes.map((shape, i) => counting(shape, 100 * i, Data)),
    );
    expect(result.dtype).toBe(dtype);
    expect(result.shape).toEqual(one.shape);
    expect(result.data).toEqual(expected);
  });
});

describe('Tensor.cat and Tensor.stack', () => {
  it('copy, even a single tensor', () => {
    const t = Tensor.zeros([2, 2]);
    for (const joined of [Tensor.cat([t]), Tensor.stack([t]), t.repeat(1, 1)]) joined.data[0] = 1;
    expect(t.data[0]).toBe(0);
  });

  it('are reversed by slices along the same dimension', () => {
    for (const dim of [0, 1, 2, -1]) {
      const along = (dim + 3) % 3;
      const parts = [1, 4, 2].map((side, i) => counting([3, 2, 5].toSpliced(along, 1, side), 1000 * i));
      const joined = Tensor.cat(parts, dim);
      let at = 0;
      for (const part of parts) {
        const ranges: Range[] = [null, null, null];
        ranges[along] = [at, at + part.shape[along]!];
        expect(joined.slice(...ranges)).toEqual(part);
        at += part.shape[along]!;
      }
      const same = [0, 1, 2].map((i) => counting([3, 2], 100 * i));
      const stacked = Tensor.stack(same, dim);
      expect(same.map((_, i) => stacked.select(dim, i))).toEqual(same);
    }
  });

  it('reject tensors of different shapes or element types and name them', () => {
    const [a, b] = [Tensor.zeros([2, 3, 4]), Tensor.zeros([2, 3, 5])];
    expect(() => Tensor.cat([a, b], 1)).toThrowError(
      /^Expected f32 \[2, any, 4\], as the first tensor is, for tensor 1 but received f32 \[2, 3, 5\]$/,
    );
    expect(() => Tensor.stack([a, a, b])).toThrowError(/f32 \[2, 3, 4\].* for tensor 2 .*\[2, 3, 5\]/);
    expect(() => Tensor.cat([a, Tensor.zeros([2, 3])])).toThrowError(code('SHAPE_MISMATCH'));
    const integers: AnyTensor[] = [Tensor.from(new Int32Array(2), [2]), Tensor.zeros([2])];
    for (const join of [Tensor.cat<TensorData>, Tensor.stack<TensorData>])
      expect(() => join(integers)).toThrowError(code('SHAPE_MISMATCH'));
  });

  it('reject an empty list, values that are not tensors, and dimensions that do not exist', () => {
    const t = Tensor.zeros([2, 3]);
    for (const bad of [[], [t, 3], t, undefined]) {
      expect(() => Tensor.cat(bad as Tensor[])).toThrowError(code('INVALID_OPTION'));
      expect(() => Tensor.stack(bad as Tensor[])).toThrowError(code('INVALID_OPTION'));
    }
    for (const dim of [2, -3, 0.5, Number.NaN, '0' as never])
      expect(() => Tensor.cat([t], dim)).toThrowError(/between -2 and 1/);
    expect(() => Tensor.stack([t], 3)).toThrowError(/between -3 and 2/);
    expect(() => Tensor.cat([Tensor.zeros([])])).toThrowError(/at least one dimension/);
  });

  it('reject a tensor whose memory was transferred', () => {
    const gone = Tensor.zeros([2]);
    structuredClone(gone.data, { transfer: [gone.data.buffer as ArrayBuffer] });
    expect(() => Tensor.cat([gone, Tensor.zeros([2])])).toThrowError(/tensor 0.*transferred/);
    expect(() => Tensor.stack([Tensor.zeros([2]), gone])).toThrowError(code('SHAPE_MISMATCH'));
  });
});

describe('tensor.repeat', () => {
  it('rejects too few counts, invalid counts and results larger than memory', () => {
    const t = Tensor.zeros([2, 3]);
    expect(() => t.repeat(2)).toThrowError(/one count for each of 2 dimensions/);
    for (const count of [-1, 1.5, Number.NaN, '2' as never])
      expect(() => t.repeat(count, 1)).toThrowError(code('INVALID_OPTION'));
    expect(() => t.repeat(2 ** 40, 2 ** 40)).toThrowError(code('INVALID_OPTION'));
    expect(() => t.repeat(2 ** 40, 1)).toThrowError(code('OUT_OF_MEMORY'));
  });
});

describe('tensor.select', () => {
  it('shares memory for a contiguous part and copies otherwise', () => {
    const t = Tensor.zeros([1, 3, 2]);
    t.select(1, 2).data[0] = 7;
    expect(t.data[4]).toBe(7);
    t.select(2, 0).data[2] = 9;
    expect(t.data[4]).toBe(7);
    expect(t.select(0, 0)).toEqual(t.at(0));
  });

  it('rejects indices and dimensions that do not exist', () => {
    const t = Tensor.zeros([2, 3]);
    expect(() => t.select(1, 3)).toThrowError(/between -3 and 2 for index of dimension 1/);
    expect(() => t.select(2, 0)).toThrowError(/between -2 and 1/);
    expect(() => t.select(0, 0.5)).toThrowError(code('INVALID_OPTION'));
    expect(() => Tensor.zeros([]).select(0, 0)).toThrowError(/at least one dimension/);
  });
});
