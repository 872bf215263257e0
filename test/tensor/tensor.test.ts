import { describe, expect, it } from 'vitest';
import { Tensor } from '../../lib/tensor/tensor.js';

const counting = (...shape: number[]) =>
  new Tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i),
    shape,
  );

describe('Tensor', () => {
  it('wraps its data without copying it', () => {
    const data = Float32Array.of(1, 2, 3, 4);
    const tensor = Tensor.from(data, [2, 2]);
    tensor.data[3] = 9;
    expect(data[3]).toBe(9);
    expect(tensor.reshape([4]).data).toBe(data);
    expect([tensor.dtype, tensor.size, tensor.shape]).toEqual(['f32', 4, [2, 2]]);
  });

  it('rejects data that does not fill its shape, and invalid shapes', () => {
    expect(() => Tensor.from(new Float32Array(3), [2, 2])).toThrowError(/has 4 elements but its data has 3/);
    for (const shape of [[-1], [1.5], [Number.NaN], [2 ** 32, 2 ** 32]]) {
      expect(() => Tensor.from(new Float32Array(1), shape)).toThrowError(
        expect.objectContaining({ code: 'INVALID_OPTION' }),
      );
    }
    const list = [1, 2] as unknown as Float32Array;
    expect(() => Tensor.from(list, [2])).toThrowError(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });

  it('is sliced by indices and ranges, from either end', () => {
    const t = counting(2, 3, 4);
    expect(t.slice(1).shape).toEqual([3, 4]);
    expect([...t.slice(1, 0).data]).toEqual([12, 13, 14, 15]);
    expect([...t.slice(-1, -1, -1).data]).toEqual([23]);
    expect(t.slice(-1, -1, -1).shape).toEqual([]);
    expect([...t.slice(null, 1, [1, -1]).data]).toEqual([5, 6, 17, 18]);
    expect(t.slice(null, 1, [1, -1]).shape).toEqual([2, 2]);
    expect([...t.slice(0, [-2]).data]).toEqual([4, 5, 6, 7, 8, 9, 10, 11]);
    expect(t.slice([2, 1]).shape).toEqual([0, 3, 4]);
    expect(t.slice(null, [0, 99]).shape).toEqual([2, 3, 4]);
    expect(() => t.slice(2)).toThrowError(/between -2 and 1/);
    expect(() => t.slice(0, 0, 0, 0)).toThrowError(/at most 3/);
  });

  it('returns parts without copying, and copies with clone', () => {
    const t = counting(2, 3);
    t.at(-1).data[0] = 100;
    expect(t.data[3]).toBe(100);
    t.clone().data[0] = 100;
    t.slice(0).data[0] = 100;
    expect(t.data[0]).toBe(0);
  });

  it('infers one dimension of a reshape', () => {
    expect(counting(2, 6).reshape([3, -1]).shape).toEqual([3, 4]);
    expect(() => counting(2, 6).reshape([5, -1])).toThrowError();
  });
});

describe('Tensor statistics', () => {
  it('cover the finite elements and count the others', () => {
    const t = Tensor.from(Float32Array.of(1, Number.NaN, 3, Infinity, -Infinity, 5), [6]);
    const { std, ...rest } = t.stats();
    expect(rest).toEqual({ min: 1, max: 5, mean: 3, nan: 1, inf: 2 });
    expect(std).toBeCloseTo(Math.sqrt(8 / 3), 12);
    expect(Tensor.zeros([0]).stats()).toEqual({ min: NaN, max: NaN, mean: NaN, std: NaN, nan: 0, inf: 0 });
  });

  it('are exact for a large mean', () => {
    const t = Tensor.from(Float64Array.of(1e9, 1e9 + 1, 1e9 + 2), [3]);
    expect(t.stats().std).toBeCloseTo(Math.sqrt(2 / 3), 9);
  });

  it('count every element once in a histogram', () => {
    const t = Tensor.from(Float32Array.of(0, 0.5, 1, 1, 2, Number.NaN), [6]);
    const { counts, edges, outside, notFinite } = t.histogram(2, [0, 1]);
    expect([[...counts], [...edges], outside, notFinite]).toEqual([[1, 3], [0, 0.5, 1], 1, 1]);
    expect([...t.histogram(4).counts]).toEqual([1, 1, 2, 1]);
    expect([...Tensor.zeros([5]).histogram(3).counts]).toEqual([0, 5, 0]);
    expect(() => t.histogram(0)).toThrowError(/between 1/);
  });
});

describe('Tensor.toImage', () => {
  it('shows three channels as an image from -1 to 1', () => {
    const t = Tensor.from(Float32Array.of(-1, 1, 0, 0, 5, -5), [1, 3, 1, 2]);
    expect(t.toImage()).toEqual({ width: 2, height: 1, data: Uint8Array.of(0, 128, 255, 255, 128, 0) });
    const wide = Tensor.from(Float32Array.of(0, 10, 20, 30, 40, 50), [3, 1, 2]).toImage({ range: 'auto' });
    expect([...wide.data]).toEqual([0, 102, 204, 51, 153, 255]);
  });

  it('shows a matrix as a heat map from black over purple to yellow', () => {
    const image = counting(2, 2).toImage({ scale: 3 });
    expect([image.width, image.height]).toEqual([6, 6]);
    expect([...image.data.subarray(0, 3)]).toEqual([0, 0, 4]);
    expect([...image.data.subarray(-3)]).toEqual([252, 255, 164]);
  });

  it('lays out channels in a grid, with one row per element of a batch', () => {
    expect(counting(4, 5, 7).toImage()).toMatchObject({ width: 15, height: 11 });
    expect(counting(2, 4, 5, 7).toImage()).toMatchObject({ width: 31, height: 11 });
    expect(counting(2, 3, 5, 7).toImage()).toMatchObject({ width: 15, height: 5 });
  });

  it('highlights elements that are not finite', () => {
    const image = Tensor.from(Float32Array.of(0, Number.NaN, 1), [1, 3]).toImage();
    expect([...image.data.subarray(3, 6)]).toEqual([0, 255, 255]);
  });
});
