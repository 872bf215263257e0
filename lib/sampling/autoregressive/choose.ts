/**
 * Sampling of a code from logits, numerically equal to PyTorch and taming-transformers: temperature, top k, top p
 * (nucleus sampling, Holtzman et al. 2020), softmax, and `torch.multinomial` for one sample, which divides by
 * exponential noise and takes the maximum.
 */
import { invalidOption, SafelightError } from '../../errors.js';
import type { TorchCpuGenerator } from '../generators/mt19937.js';

export interface ChoiceOptions {
  /** Divisor of the logits, above 0. Default 1. */
  readonly temperature?: number | undefined;
  /** Restricts sampling to this many of the most probable codes, including ties with the last. Default: all. */
  readonly topK?: number | undefined;
  /**
   * Restricts sampling to the smallest set of most probable codes whose probabilities sum to more than this, in (0,
   * 1]. Default 1: all.
   */
  readonly topP?: number | undefined;
  /** Samples a code (true, the default) or selects the most probable one (false). */
  readonly sample?: boolean | undefined;
  /**
   * Excludes codes of this value and above: the size of the codebook, if the vocabulary also contains codes of a
   * condition. Default: no limit.
   */
  readonly below?: number | undefined;
}

export const choiceKeys = ['temperature', 'topK', 'topP', 'sample', 'below'] as const;

export type Choice = Required<{ [K in keyof ChoiceOptions]: NonNullable<ChoiceOptions[K]> }>;

const f32 = Math.fround;

/** Validates options and fills in defaults. @throws INVALID_OPTION */
export function checkChoice(options: ChoiceOptions): Choice {
  const { temperature = 1, topK = Infinity, topP = 1, sample = true, below = Infinity } = options;
  if (!(Number.isFinite(temperature) && temperature > 0)) {
    throw invalidOption('temperature', 'a number greater than 0', temperature);
  }
  if (!(topK === Infinity || (Number.isInteger(topK) && topK >= 1))) {
    throw invalidOption('topK', 'an integer of at least 1', topK);
  }
  if (!(typeof topP === 'number' && topP > 0 && topP <= 1)) {
    throw invalidOption('topP', 'a number greater than 0 and at most 1', topP);
  }
  if (typeof sample !== 'boolean') throw invalidOption('sample', 'true or false', sample);
  if (!(below === Infinity || (Number.isInteger(below) && below >= 1))) {
    throw invalidOption('below', 'an integer of at least 1', below);
  }
  return { temperature, topK, topP, sample, below };
}

/**
 * Selects a code.
 * @param logits `[vocabulary]`
 * @param noise exponential noise `[vocabulary]` of the image's generator (`choiceNoise`), or null to select the most
 *   probable code
 * @throws NOT_FINITE for a NaN or infinite logit
 */
export function chooseCode(logits: Float32Array, choice: Choice, noise: Float32Array | null): number {
  const scores = codeProbabilities(logits, choice).subarray(0, choice.below);
  // If top k and top p exclude all codes below the limit, they are applied to the codes below it only.
  const possible = scores.some((score) => score > 0)
    ? scores
    : codeProbabilities(logits.subarray(0, choice.below), choice);
  if (noise) for (let i = 0; i < possible.length; i++) possible[i] = possible[i]! / noise[i]!;
  let best = 0;
  for (let i = 1; i < possible.length; i++) if (possible[i]! > possible[best]!) best = i;
  return best;
}

/** Returns the noise that selecting one code consumes: a number per code of the vocabulary, including excluded ones. */
export function choiceNoise(
  { sample }: Choice,
  generator: TorchCpuGenerator,
  vocabulary: number,
): Float32Array | null {
  return sample ? generator.exponential(vocabulary) : null;
}

/** Returns the probability of each code `[vocabulary]`, 0 for excluded ones. @throws NOT_FINITE */
export function codeProbabilities(logits: Float32Array, { temperature, topK, topP }: Choice): Float32Array {
  const scaled = logits.slice();
  for (let i = 0; i < scaled.length; i++) {
    if (!Number.isFinite(scaled[i])) throw notFinite();
    scaled[i] = scaled[i]! / f32(temperature);
  }
  if (topK < scaled.length) {
    const threshold = nthLargest(scaled, topK);
    for (let i = 0; i < scaled.length; i++) if (scaled[i]! < threshold) scaled[i] = -Infinity;
  }
  const probabilities = softmax(scaled);
  if (topP >= 1) return probabilities;
  for (const i of beyondNucleus(probabilities, topP)) scaled[i] = -Infinity;
  return softmax(scaled);
}

function notFinite(): SafelightError {
  return new SafelightError(
    'NOT_FINITE',
    'The logits contain NaN or infinity; the weights are damaged or their storage is too imprecise for the model',
  );
}

/** Returns the n-th largest value, counted from 1 (quickselect, Hoare 1961). */
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

/** Returns the codes outside the nucleus: those preceded by more probable codes whose sum exceeds `topP`. */
function beyondNucleus(probabilities: Float32Array, topP: number): number[] {
  const order = [...probabilities.keys()].filter((i) => probabilities[i]! > 0);
  order.sort((a, b) => probabilities[b]! - probabilities[a]! || a - b);
  let sum = 0;
  const nucleusSize = order.findIndex((i) => {
    const exceeded = f32(sum) > f32(topP);
    sum += probabilities[i]!;
    return exceeded;
  });
  return nucleusSize < 0 ? [] : order.slice(nucleusSize);
}
