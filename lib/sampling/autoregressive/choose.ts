/**
 * From logits to a code, number for number as PyTorch and taming do it: temperature, the top k, the nucleus of Holtzman et al.
 * (2020), softmax, and `torch.multinomial` for one sample, which divides by exponential noise and takes the largest.
 */
import { invalidOption, SafelightError } from '../../errors.js';
import type { TorchCpuGenerator } from '../generators/mt19937.js';

export interface ChoiceOptions {
  /** Logits are divided by it: more than 0; 1 by default. */
  readonly temperature?: number | undefined;
  /** Only this many of the most probable codes, and those as probable as the last of them; by default all. */
  readonly topK?: number | undefined;
  /** Only the fewest most probable codes whose probabilities sum to more than this, in (0, 1]; 1, the default, takes all. */
  readonly topP?: number | undefined;
  /** Draw (the default), or take the most probable. */
  readonly sample?: boolean | undefined;
  /** Never a code of this or more: how many the codebook has, where the model knows others (those of a condition); by default any. */
  readonly below?: number | undefined;
}

export const choiceKeys = ['temperature', 'topK', 'topP', 'sample', 'below'] as const;

export type Choice = Required<{ [K in keyof ChoiceOptions]: NonNullable<ChoiceOptions[K]> }>;

const f32 = Math.fround;

/** Options checked, defaults filled in. @throws INVALID_OPTION */
export function checkChoice(options: ChoiceOptions): Choice {
  const { temperature = 1, topK = Infinity, topP = 1, sample = true, below = Infinity } = options;
  if (!(Number.isFinite(temperature) && temperature > 0)) {
    throw invalidOption('temperature', 'number greater than 0', temperature);
  }
  if (!(topK === Infinity || (Number.isInteger(topK) && topK >= 1))) {
    throw invalidOption('topK', 'integer of at least 1', topK);
  }
  if (!(typeof topP === 'number' && topP > 0 && topP <= 1)) {
    throw invalidOption('topP', 'number greater than 0 and at most 1', topP);
  }
  if (typeof sample !== 'boolean') throw invalidOption('sample', 'true or false', sample);
  if (!(below === Infinity || (Number.isInteger(below) && below >= 1))) {
    throw invalidOption('below', 'integer of at least 1', below);
  }
  return { temperature, topK, topP, sample, below };
}

/**
 * @param logits `[vocabulary]`
 * @param noise as many exponential numbers of the picture's generator (`noiseOf`), or null to take the most probable
 * @throws NOT_FINITE where a logit is NaN or infinite
 */
export function chooseCode(logits: Float32Array, choice: Choice, noise: Float32Array | null): number {
  const scores = codeProbabilities(logits, choice).subarray(0, choice.below);
  // Where top k and top p left nothing that can be drawn, they are taken of what can.
  const possible = scores.some((score) => score > 0)
    ? scores
    : codeProbabilities(logits.subarray(0, choice.below), choice);
  if (noise) for (let i = 0; i < possible.length; i++) possible[i] = possible[i]! / noise[i]!;
  let best = 0;
  for (let i = 1; i < possible.length; i++) if (possible[i]! > possible[best]!) best = i;
  return best;
}

/** What one draw takes of a picture's generator: a number for each code, also for those that cannot be drawn. */
export function noiseOf(
  { sample }: Choice,
  generator: TorchCpuGenerator,
  vocabulary: number,
): Float32Array | null {
  return sample ? generator.exponential(vocabulary) : null;
}

/** The probability of each code: `[vocabulary]`, 0 for those left out. @throws NOT_FINITE */
export function codeProbabilities(logits: Float32Array, { temperature, topK, topP }: Choice): Float32Array {
  const scaled = logits.slice();
  for (let i = 0; i < scaled.length; i++) {
    if (!Number.isFinite(scaled[i])) throw notFinite();
    scaled[i] = scaled[i]! / f32(temperature);
  }
  if (topK < scaled.length) {
    const least = nthLargest(scaled, topK);
    for (let i = 0; i < scaled.length; i++) if (scaled[i]! < least) scaled[i] = -Infinity;
  }
  const probabilities = softmax(scaled);
  if (topP >= 1) return probabilities;
  for (const i of beyondNucleus(probabilities, topP)) scaled[i] = -Infinity;
  return softmax(scaled);
}

function notFinite(): SafelightError {
  return new SafelightError(
    'NOT_FINITE',
    'The logits hold NaN or infinite numbers: the weights are damaged, or another storage is beyond the model',
  );
}

/** The n-th largest of the values, from 1 on (Hoare's selection, 1961). */
function nthLargest(values: Float32Array, n: number): number {
  const rest = values.slice();
  let low = 0;
  let high = rest.length - 1;
  while (low < high) {
    const pivot = rest[(low + high) >> 1]!;
    let left = low;
    let right = high;
    while (left <= right) {
      while (rest[left]! > pivot) left++;
      while (rest[right]! < pivot) right--;
      if (left > right) break;
      const swapped = rest[left]!;
      rest[left++] = rest[right]!;
      rest[right--] = swapped;
    }
    if (n - 1 <= right) high = right;
    else if (n - 1 >= left) low = left;
    else break;
  }
  return rest[n - 1]!;
}

function softmax(logits: Float32Array): Float32Array {
  let top = -Infinity;
  for (const x of logits) if (x > top) top = x;
  const weights = new Float32Array(logits.length);
  let total = 0;
  for (let i = 0; i < weights.length; i++) {
    weights[i] = Math.exp(f32(logits[i]! - top));
    total += weights[i]!;
  }
  for (let i = 0; i < weights.length; i++) weights[i] = weights[i]! / f32(total);
  return weights;
}

/** Codes before which, from the most probable on, the sum is beyond `topP` already. */
function beyondNucleus(probabilities: Float32Array, topP: number): number[] {
  const order = [...probabilities.keys()].filter((i) => probabilities[i]! > 0);
  order.sort((a, b) => probabilities[b]! - probabilities[a]! || a - b);
  let sum = 0;
  const kept = order.findIndex((i) => {
    const full = f32(sum) > f32(topP);
    sum += probabilities[i]!;
    return full;
  });
  return kept < 0 ? [] : order.slice(kept);
}
