// @ts-check
/** Inputs and statistics of the benchmarks. */
import { Tensor } from '../dist/index.js';

/** Returns a tensor of reproducible values between -1.5 and 1.5. @param {readonly number[]} shape */
export function waves(shape) {
  const count = shape.reduce((a, b) => a * b, 1);
  return Tensor.from(
    Float32Array.from({ length: count }, (_, i) => 1.5 * Math.sin(12.9898 * i)),
    [...shape],
  );
}

/** Returns the upper median; NaN of no values. @param {readonly number[]} values */
export function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/**
 * Returns the root mean square of the differences, relative to that of the exact values.
 * @param {Float32Array | Float64Array} values @param {Float32Array | Float64Array} exact
 */
export function relativeError(values, exact) {
  let [off, all] = [0, 0];
  exact.forEach((value, i) => {
    off += ((values[i] ?? 0) - value) ** 2;
    all += value ** 2;
  });
  return Math.sqrt(off / all);
}
