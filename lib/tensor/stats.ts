/** Statistics of the values of a tensor. */
import { invalidOption } from '../errors.js';
import type { TensorData } from './dtypes.js';

export interface TensorStats {
  /** Minimum of the finite elements; NaN if there are none. */
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  /** Population standard deviation (divided by n, as NumPy's default). */
  readonly std: number;
  readonly nan: number;
  /** Number of infinities of either sign. */
  readonly inf: number;
}

export interface Histogram {
  /** Number of elements per bin; the last bin includes its right edge, as in NumPy. */
  readonly counts: Float64Array;
  /** Edges of the bins, `bins + 1` values. */
  readonly edges: Float64Array;
  /** Number of finite elements outside the range and of elements that are not finite. */
  readonly outside: number;
  readonly notFinite: number;
}

export function statsOf(data: TensorData): TensorStats {
  let [min, max, sum, nan, inf] = [Infinity, -Infinity, 0, 0, 0];
  for (const v of data) {
    if (!Number.isFinite(v)) {
      if (Number.isNaN(v)) nan++;
      else inf++;
      continue;
    }
    if (v < min) min = v;
    if (v > max) max = v;
    sum += v;
  }
  const count = data.length - nan - inf;
  if (count === 0) return { min: NaN, max: NaN, mean: NaN, std: NaN, nan, inf };
  // Two passes, since the one-pass formula suffers from cancellation for large means.
  const mean = sum / count;
  let squares = 0;
  for (const v of data) if (Number.isFinite(v)) squares += (v - mean) ** 2;
  return { min, max, mean, std: Math.sqrt(squares / count), nan, inf };
}

/** Returns true if every element is finite; cheap enough to check after each step. */
export function allFinite(data: TensorData): boolean {
  // A finite sum proves it. A sum that is not may also have overflowed, so that each element must be checked.
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data[i]!;
  if (Number.isFinite(sum)) return true;
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return false;
  return true;
}

export function histogramOf(data: TensorData, bins: number, range?: readonly [number, number]): Histogram {
  if (!Number.isInteger(bins) || bins < 1 || bins > 1_000_000) {
    throw invalidOption('bins', 'an integer between 1 and 1000000', bins);
  }
  if (range !== undefined && !(Array.isArray(range) && range.length === 2))
    throw invalidOption('range', 'two finite numbers in order', range);
  let [low, high] = range ?? extremes(data);
  if (!Number.isFinite(low) || !Number.isFinite(high) || low > high) {
    throw invalidOption('range', 'two finite numbers in order', range);
  }
  // As in NumPy, an empty range is widened by 0.5 on each side, so that a constant tensor has its peak in the middle.
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const counts = new Float64Array(bins);
  const edges = Float64Array.from({ length: bins + 1 }, (_, i) => low + ((high - low) * i) / bins);
  let outside = 0;
  let notFinite = 0;
  for (const v of data) {
    if (!Number.isFinite(v)) notFinite++;
    else if (v < low || v > high) outside++;
    else counts[Math.min(bins - 1, Math.floor(((v - low) / (high - low)) * bins))]!++;
  }
  return { counts, edges, outside, notFinite };
}

function extremes(data: TensorData): [number, number] {
  const { min, max } = statsOf(data);
  return Number.isNaN(min) ? [0, 1] : [min, max];
}
