/**
 * Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598): which branches of the network a step needs, and how their
 * predictions become one. Pure functions on flat batches `[rows, C, H, W]`, so that whatever runs the network can put all rows in one
 * call.
 */
import { invalidOption, SafelightError } from '../errors.js';
import { Tensor } from '../tensor/tensor.js';
import type { BranchSpec, Conditioning } from './network.js';
import type { Latent } from './types.js';

export interface Guidance {
  /** Weight of the prompt: 0 follows the negative prompt alone, 1 the prompt alone (the network runs once). */
  readonly scale: number;
  /**
   * Sigmas at which guidance is applied, `[low, high]`, ends included; outside of it only the prompt is followed
   * (Kynkäänniemi et al. 2024, arXiv:2404.07724). Everywhere by default.
   */
  readonly interval?: readonly [low: number, high: number] | undefined;
  /** 0 to 1 (default 0): how far the guided prediction is scaled back to the deviation of the prompt's (arXiv:2305.08891, 3.4). */
  readonly rescale?: number | undefined;
}

/** The two sides of guidance by a prompt: what to draw, and what to lead away from. */
export interface GuidancePair {
  readonly positive: Conditioning;
  readonly negative: Conditioning;
}

/** @throws INVALID_OPTION if the scale is not finite, the interval not ascending or the rescale outside of [0, 1]. */
export function checkGuidance({ scale, interval, rescale = 0 }: Guidance): void {
  if (!Number.isFinite(scale)) throw invalidOption('cfg', 'finite number', scale);
  if (interval && !(interval.length === 2 && interval[0] >= 0 && interval[0] <= interval[1])) {
    throw invalidOption('guidance interval', 'two ascending sigmas', interval);
  }
  if (!(rescale >= 0 && rescale <= 1))
    throw invalidOption('guidance rescale', 'number between 0 and 1', rescale);
}

/** The branches of guidance by a prompt that some sigma can ask for. */
export function guidanceBranches({ positive, negative }: GuidancePair, guidance: Guidance): BranchSpec[] {
  const { scale, interval } = guidance;
  const base: BranchSpec = { name: 'negative', conditioning: negative, weight: 1, base: true };
  const prompt: BranchSpec = { name: 'positive', conditioning: positive, weight: scale };
  if (scale === 1) return [prompt];
  return scale === 0 && interval === undefined ? [base] : [base, prompt];
}

/**
 * Positions of the branches to run the network with at a sigma. A branch that the guided prediction does not depend on is left out:
 * those of weight 0, and the base where the other weights sum to 1. Outside of the interval the base is left out.
 */
export function activeBranches(
  branches: readonly BranchSpec[],
  interval: Guidance['interval'],
  sigma: number,
): readonly number[] {
  const all = branches.map((_, i) => i);
  const applied = interval === undefined || (sigma >= interval[0] && sigma <= interval[1]);
  const prompts = all.filter((i) => !branches[i]!.base);
  if (prompts.length === all.length || prompts.length === 0) return all;
  if (!applied) return prompts;
  const weighty = prompts.filter((i) => branches[i]!.weight !== 0);
  const sum = weighty.reduce((total, i) => total + weightOf(branches[i]!), 0);
  return sum === 1 ? weighty : all.filter((i) => branches[i]!.base || weighty.includes(i));
}

/** NaN for a mask, which sums to nothing. */
function weightOf({ weight }: BranchSpec): number {
  return weight instanceof Tensor ? Number.NaN : weight;
}

/**
 * One prediction for each image, `[B, ...]`, of those of the branches, `[branches * B, ...]`. The predictions may be of the noise, v
 * or x0; what rescaling does depends on which (as in diffusers it is the network's own).
 *
 * @param count images, B. @throws SHAPE_MISMATCH if the predictions do not divide into so many, or a mask has another size.
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
      `The network gave ${predictions.length} numbers for ${branches.length} x ${count} latents`,
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
  const prompt = branches.findIndex((branch) => !branch.base);
  if (rescale > 0 && base >= 0) {
    for (let start = 0; start < guided.length; start += size) {
      const end = start + size;
      rescaleToDeviation(guided.subarray(start, end), part(prompt).subarray(start, end), rescale);
    }
  }
  return guided;
}

/** Without a base the weights are shares of the whole; those that sum to nothing, or are masks, are taken as they are. */
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
      `Expected a branch's mask of the latent's size but received [${(weight as Tensor).shape.join(', ')}]`,
    );
  }
  const whole = weight instanceof Tensor ? 1 : weight / normalizer;
  for (let i = 0; i < guided.length; i++) {
    const share = mask ? mask[i % mask.length]! : whole;
    guided[i]! += share * (prediction[i]! - (base ? base[i]! : 0));
  }
}

/** Scales `guided` in place so that its deviation moves towards that of `positive`, by the given share of the way. */
function rescaleToDeviation(guided: Latent, positive: Latent, share: number): void {
  const spread = deviation(guided);
  if (spread === 0) return; // a constant has no deviation to scale
  const factor = share * (deviation(positive) / spread) + 1 - share;
  for (let i = 0; i < guided.length; i++) guided[i]! *= factor;
}

/** Standard deviation; that of the sample (n - 1) or of the population makes no difference to a quotient of two. */
function deviation(values: Latent): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}
