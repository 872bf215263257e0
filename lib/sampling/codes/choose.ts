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
}

export type Choice = Required<{ [K in keyof ChoiceOptions]: NonNullable<ChoiceOptions[K]> }>;

const f32 = Math.fround;

/** Options checked, defaults filled in. @throws INVALID_OPTION */
export function checkChoice(options: ChoiceOptions): Choice {
  const { temperature = 1, topK = Infinity, topP = 1, sample = true } = options;
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
  return { temperature, topK, topP, sample };
}

/**
 * @param logits `[vocabulary]`
 * @param generator of the picture; asked for one number a code, also of those that cannot be drawn, unless nothing is drawn
 * @throws NOT_FINITE where a logit is NaN or infinite
 */
export function chooseCode(logits: Float32Array, choice: Choice, generator: TorchCpuGenerator): number {
  const probabilities = codeProbabilities(logits, choice);
  if (!choice.sample) return indexOfLargest(probabilities);
  const noise = generator.exponential(probabilities.length);
  return indexOfLargest(probabilities.map((p, i) => p / noise[i]!));
}

/** The probability of each code: `[vocabulary]`, 0 for those left out. @throws NOT_FINITE */
export function codeProbabilities(logits: Float32Array, { temperature, topK, topP }: Choice): Float32Array {
  if (!logits.every(Number.isFinite)) {
    throw new SafelightError(
      'NOT_FINITE',
      'The logits hold NaN or infinite numbers: the weights are damaged, or another storage is beyond the model',
    );
  }
  const scaled = logits.map((x) => x / f32(temperature));
  if (topK < scaled.length) {
    // A typed array sorts by value.
    const least = scaled.slice().sort()[scaled.length - topK]!;
    for (let i = 0; i < scaled.length; i++) if (scaled[i]! < least) scaled[i] = -Infinity;
  }
  const probabilities = softmax(scaled);
  if (topP >= 1) return probabilities;
  for (const i of beyondNucleus(probabilities, topP)) scaled[i] = -Infinity;
  return softmax(scaled);
}

function softmax(logits: Float32Array): Float32Array {
  const top = logits.reduce((a, b) => Math.max(a, b));
  const weights = logits.map((x) => Math.exp(f32(x - top)));
  const total = f32(weights.reduce((a, b) => a + b, 0));
  return weights.map((x) => x / total);
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

function indexOfLargest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
