/** Numbers about the numbers of a tensor. */
import { invalidOption } from '../errors.js';
import type { TensorData } from './dtypes.js';

export interface TensorStats {
  /** Of the finite elements; NaN if there are none. */
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  /** Population standard deviation (divided by n, NumPy's default). */
  readonly std: number;
  readonly nan: number;
  /** Both infinities. */
  readonly inf: number;
}

export interface Histogram {
  /** Elements in each bin; the last bin includes its right edge (as NumPy's). */
  readonly counts: Float64Array;
  /** `bins + 1` edges. */
  readonly edges: Float64Array;
  /** Finite elements outside the range, and elements that are not finite. */
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
  // A second pass about the mean: the one-pass formula cancels where the mean is large.
  const mean = sum / count;
  let squares = 0;
  for (const v of data) if (Number.isFinite(v)) squares += (v - mean) ** 2;
  return { min, max, mean, std: Math.sqrt(squares / count), nan, inf };
}

/** Whether every element is a finite number: the cheap check after each step. */
export function allFinite(data: TensorData): boolean {
  // A sum that stays finite proves it; only a sum that overflowed needs the slow look (NaN and infinities stick).
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data[i]!;
  if (Number.isFinite(sum)) return true;
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return false;
  return true;
}

export function histogramOf(data: TensorData, bins: number, range?: readonly [number, number]): Histogram {
  if (!Number.isInteger(bins) || bins < 1 || bins > 1_000_000) {
    throw invalidOption('bins', 'integer between 1 and 1000000', bins);
  }
  if (range !== undefined && !(Array.isArray(range) && range.length === 2))
    throw invalidOption('range', 'two finite numbers in order', range);
  let [low, high] = range ?? extremes(data);
  if (!Number.isFinite(low) || !Number.isFinite(high) || low > high) {
    throw invalidOption('range', 'two finite numbers in order', range);
  }
  // NumPy widens an empty range by a half to each side, so that a constant tensor has its spike in the middle.
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
