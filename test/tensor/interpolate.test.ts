import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { type Interpolation, interpolate } from '../../lib/tensor/interpolate.js';
import { Tensor } from '../../lib/tensor/tensor.js';

interface Fixture {
  readonly shape: number[];
  readonly input: number[];
  readonly cases: { mode: Interpolation; size: [number, number]; values: number[] }[];
}
/** Written by test/reference/interpolate.py (torch). */
const url = new URL('../fixtures/tensor/interpolate.json', import.meta.url);
const fixture: Fixture = JSON.parse(readFileSync(url, 'utf8'));

it.each(fixture.cases)('$mode to $size matches torch', ({ mode, size, values }) => {
  const input = Tensor.from(Float32Array.from(fixture.input), fixture.shape);
  const output = interpolate(input, ...size, mode);
  expect(output.shape).toEqual([1, 2, ...size]);
  const furthest = Math.max(...values.map((v, i) => Math.abs(v - output.data[i]!)));
  expect(furthest).toBeLessThan(5e-6);
});

it('rejects tensors without a plane and unknown modes', () => {
  expect(() => interpolate(Tensor.zeros([4]), 2, 2, 'nearest')).toThrowError(/two dimensions/);
  expect(() => interpolate(Tensor.zeros([2, 2]), 2, 2, 'cubic' as Interpolation)).toThrowError(
    /one of nearest/,
  );
});
