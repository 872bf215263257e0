/**
 * Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598): selection of the branches that a step needs and
 * combination of their predictions. Pure functions on flat batches `[rows, C, H, W]`, so that all branches can run in
 * one network call.
 */
import { invalidOption, SafelightError } from '../errors.js';
import { Tensor } from '../tensor/tensor.js';
import type { BranchSpec, Conditioning } from './network.js';
import type { Latent } from './types.js';

export interface Guidance {
  /**
   * Weight of the positive branch: 0 uses only the negative branch, 1 only the positive one (each one network call
   * per step).
   */
  readonly scale: number;
  /**
   * Range of sigmas `[low, high]`, inclusive, in which guidance is applied; outside, only the positive branch is used
   * (Kynkäänniemi et al. 2024, arXiv:2404.07724). Default: all sigmas.
   */
  readonly interval?: readonly [low: number, high: number] | undefined;
  /**
   * Fraction, 0 (default) to 1, by which the guided prediction is rescaled to the standard deviation of the positive
   * branch (arXiv:2305.08891, section 3.4).
   */
  readonly rescale?: number | undefined;
}

/** Conditioning of the positive and the negative branch. */
export interface GuidancePair {
  readonly positive: Conditioning;
  readonly negative: Conditioning;
}

/** @throws INVALID_OPTION unless the scale is finite, the interval ascending and the rescale within [0, 1] */
export function checkGuidance({ scale, interval, rescale = 0 }: Guidance): void {
  if (!Number.isFinite(scale)) throw invalidOption('cfg', 'a finite number', scale);
  if (interval && !(interval.length === 2 && interval[0] >= 0 && interval[0] <= interval[1])) {
    throw invalidOption('guidance interval', 'two ascending sigmas', interval);
  }
  if (!(rescale >= 0 && rescale <= 1))
    throw invalidOption('guidance rescale', 'a number between 0 and 1', rescale);
}

/** Returns the branches that are needed at some sigma: the base (negative), the positive branch, or both. */
export function guidanceBranches({ positive, negative }: GuidancePair, guidance: Guidance): BranchSpec[] {
  const { scale, interval } = guidance;
  const base: BranchSpec = { name: 'negative', conditioning: negative, weight: 1, base: true };
  const guided: BranchSpec = { name: 'positive', conditioning: positive, weight: scale };
  if (scale === 1) return [guided];
  return scale === 0 && interval === undefined ? [base] : [base, guided];
}

/**
 * Returns the indices of the branches to evaluate at a sigma. Omits branches without influence on the result: those
 * of weight 0, the base if the other weights sum to 1, and the base outside of the guidance interval.
 */
export function activeBranches(
  branches: readonly BranchSpec[],
  interval: Guidance['interval'],
  sigma: number,
): readonly number[] {
  const all = branches.map((_, i) => i);
  const applied = interval === undefined || (sigma >= interval[0] && sigma <= interval[1]);
  const guided = all.filter((i) => !branches[i]!.base);
  if (guided.length === all.length || guided.length === 0) return all;
  if (!applied) return guided;
  const weighted = guided.filter((i) => branches[i]!.weight !== 0);
  const sum = weighted.reduce((total, i) => total + weightOf(branches[i]!), 0);
  return sum === 1 ? weighted : all.filter((i) => branches[i]!.base || weighted.includes(i));
}

/** Returns the weight of a branch; NaN for a mask, so that comparisons of sums with it are false. */
function weightOf({ weight }: BranchSpec): number {
  return weight instanceof Tensor ? Number.NaN : weight;
}

/**
 * Combines the predictions of the branches, `[branches * B, ...]`, to one per image, `[B, ...]`. Predictions may be
 * of noise, v or x0; rescaling is applied to the network's own kind of prediction, as in diffusers.
 *
 * @param count number of images, B
 * @throws SHAPE_MISMATCH if the predictions cannot be divided by branches and images, or for a mask of another size
 */
export function combinePredictions(
  branches: readonly BranchSpec[],
  predictions: Latent,
  count: number,
  rescale = 0,
): Latent {
  const size = predictions.length / (branches.length * count);
  if (!Number.isInteger(size)) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `Expected predictions for ${branches.length} x ${count} latents, received ${predictions.length} values`,
    );
  }
  if (branches.length === 1) return predictions;
  const part = (i: number): Latent => predictions.subarray(i * count * size, (i + 1) * count * size);
  const base = branches.findIndex((branch) => branch.base);
  const guided = base < 0 ? new Float32Array(count * size) : part(base).slice();
  const normalizer = base < 0 ? weightSum(branches) : 1;
  branches.forEach((branch, i) => {
    if (i !== base) add(guided, part(i), base < 0 ? undefined : part(base), branch.weight, normalizer);
  });
  const positive = branches.findIndex((branch) => !branch.base);
  if (rescale > 0 && base >= 0) {
    for (let start = 0; start < guided.length; start += size) {
      const end = start + size;
      rescaleToDeviation(guided.subarray(start, end), part(positive).subarray(start, end), rescale);
    }
  }
  return guided;
}

/** Returns the divisor of weights without a base: their sum, or 1 if the sum is 0 or a weight is a mask. */
function weightSum(branches: readonly BranchSpec[]): number {
  const sum = branches.reduce((total, branch) => total + weightOf(branch), 0);
  return Number.isNaN(sum) || sum === 0 ? 1 : sum;
}

/** guided += weight / normalizer * (prediction - base), in place. */
function add(
  guided: Latent,
  prediction: Latent,
  base: Latent | undefined,
  weight: number | Tensor,
  normalizer: number,
): void {
  const mask = weight instanceof Tensor ? weight.data : undefined;
  if (mask && guided.length % mask.length !== 0) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `Expected a branch mask of the size of the latent, received [${(weight as Tensor).shape.join(', ')}]`,
    );
  }
  const scalar = weight instanceof Tensor ? 1 : weight / normalizer;
  for (let i = 0; i < guided.length; i++) {
    const share = mask ? mask[i % mask.length]! : scalar;
    guided[i]! += share * (prediction[i]! - (base ? base[i]! : 0));
  }
}

/** Scales `guided` in place so that its standard deviation approaches that of `positive` by the fraction `share`. */
function rescaleToDeviation(guided: Latent, positive: Latent, share: number): void {
  const spread = deviation(guided);
  if (spread === 0) return; // a constant prediction cannot be rescaled
  const factor = share * (deviation(positive) / spread) + 1 - share;
  for (let i = 0; i < guided.length; i++) guided[i]! *= factor;
}

/** Population standard deviation; in a ratio of two, the sample deviation (n - 1) would give the same result. */
function deviation(values: Latent): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}
