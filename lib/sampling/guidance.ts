/**
 * Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598): selection of the branches that a step needs and
 * combination of their predictions. Pure functions on flat batches `[rows, C, H, W]`, so that all branches can run in
 * one network call.
 */
import { invalidOption, SafelightError } from '../errors.js';
import { Tensor } from '../tensor/tensor.js';
import type { GuidanceProjection, ProjectionSettings } from './adaptive-projection.js';
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
  /** Adaptive projected guidance, applied before `rescale`. */
  readonly projection?: ProjectionSettings | undefined;
  /** Scale of perturbed-attention guidance, added before `rescale`; default 0. */
  readonly perturbation?: number | undefined;
  /** Scale of self-attention guidance, added last; default 0. */
  readonly selfAttention?: number | undefined;
  /**
   * True if the network receives the scale as the input `guidance` (latent consistency models): only the positive
   * branches run, and the other settings have no effect. Default false.
   */
  readonly embedded?: boolean | undefined;
}

/** A positive prompt: the only one, or one of several that are joined by AND or limited to regions. */
export interface WeightedConditioning {
  readonly conditioning: Conditioning;
  /** Factor of the guidance scale: a number, 1 for a single prompt, or a mask `[h, w]` of the size of the latent. */
  readonly weight: number | Tensor;
}

/** Conditioning of guidance. */
export interface GuidanceConditioning {
  /** At least one. */
  readonly positives: readonly WeightedConditioning[];
  readonly negative: Conditioning;
}

/** Conditioning that applies from the evaluation after the previous phase's last one. */
export interface GuidancePhase extends GuidanceConditioning {
  /** Last evaluation of the phase, counted from 0; the last phase applies to all later evaluations too. */
  readonly until: number;
}

/** Conditioning of a pass, which prompt editing and alternation change between evaluations. */
export type GuidanceSchedule = readonly [GuidancePhase, ...GuidancePhase[]];

/** Returns the schedule of conditioning that is the same at every evaluation. */
export function constantSchedule(positive: Conditioning, negative: Conditioning): GuidanceSchedule {
  return [{ until: 0, positives: [{ conditioning: positive, weight: 1 }], negative }];
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

/**
 * Returns the indices of the branches to evaluate at a sigma. Omits branches without influence on the result: those
 * of weight 0, the base if the other weights sum to 1, and the base outside of the guidance interval.
 * @param candidates indices of the branches of the evaluation
 */
export function activeBranches(
  branches: readonly BranchSpec[],
  candidates: readonly number[],
  interval: Guidance['interval'],
  sigma: number,
): readonly number[] {
  const applied = interval === undefined || (sigma >= interval[0] && sigma <= interval[1]);
  const guided = candidates.filter((i) => !branches[i]!.base);
  if (guided.length === candidates.length || guided.length === 0) return candidates;
  if (!applied) return guided;
  // Perturbed-attention guidance compares with the positive branches, whatever their weights are.
  if (guided.some((i) => branches[i]!.perturbed)) return candidates;
  const weighted = guided.filter((i) => branches[i]!.weight !== 0);
  const isBaseOmitted = sumOfWeights(weighted.map((i) => branches[i]!)) === 1;
  return isBaseOmitted ? weighted : candidates.filter((i) => branches[i]!.base || weighted.includes(i));
}

/** Returns the sum of the weights; NaN if one is a mask, so that comparisons with it are false. */
export function sumOfWeights(branches: readonly BranchSpec[]): number {
  return branches.reduce((total, { weight }) => total + (weight instanceof Tensor ? Number.NaN : weight), 0);
}

/** Changes of the guided prediction. */
export interface CombineOptions {
  /** Fraction of `Guidance.rescale`; default 0. */
  readonly rescale?: number | undefined;
  /** Projection of this sampling pass; default none. */
  readonly projection?: GuidanceProjection | undefined;
  /** Scale of perturbed-attention guidance, if there are perturbed branches; default 0. */
  readonly perturbation?: number | undefined;
}

/**
 * Combines the predictions of the branches, `[branches * B, ...]`, to one per image, `[B, ...]`. Predictions may be
 * of noise, v or x0; projection and rescaling are applied to the network's own kind of prediction, as in diffusers.
 *
 * @param count number of images, B
 * @throws SHAPE_MISMATCH if the predictions cannot be divided by branches and images, or for a mask of another size
 */
export function combinePredictions(
  branches: readonly BranchSpec[],
  predictions: Latent,
  count: number,
  { rescale = 0, projection, perturbation = 0 }: CombineOptions = {},
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
  const baseIndex = branches.findIndex((branch) => branch.base);
  const parts = (wanted: (branch: BranchSpec) => boolean): Positive[] =>
    branches.flatMap((branch, i) =>
      wanted(branch) ? [{ prediction: part(i), share: shareOf(branch.weight, size) }] : [],
    );
  const positives = parts(({ base, perturbed }) => !base && !perturbed);
  const perturbed = parts((branch) => branch.perturbed === true);
  if (baseIndex < 0 && perturbed.length === 0) return weightedMean(positives, count * size);
  const positive = weightedMean(positives, count * size);
  const base = baseIndex < 0 ? positive : part(baseIndex);
  const guided = base.slice();
  if (baseIndex >= 0) {
    for (const { prediction, share } of positives)
      for (let i = 0; i < guided.length; i++) guided[i]! += share(i) * (prediction[i]! - base[i]!);
    projection?.apply({ base, positive, guided }, size);
  }
  if (perturbed.length > 0) {
    const without = weightedMean(perturbed, count * size);
    for (let i = 0; i < guided.length; i++) guided[i]! += perturbation * (positive[i]! - without[i]!);
  }
  if (rescale > 0 && baseIndex >= 0) {
    for (let start = 0; start < guided.length; start += size) {
      const end = start + size;
      rescaleToDeviation(guided.subarray(start, end), positive.subarray(start, end), rescale);
    }
  }
  return guided;
}

interface Positive {
  readonly prediction: Latent;
  /** Returns the weight at an element of the batch. */
  readonly share: (i: number) => number;
}

/** @throws SHAPE_MISMATCH for a mask that does not fit a latent of `size` elements */
function shareOf(weight: number | Tensor, size: number): Positive['share'] {
  if (!(weight instanceof Tensor)) return () => weight;
  const { data } = weight;
  if (size % data.length !== 0) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `Expected a branch mask of the size of the latent, received [${weight.shape.join(', ')}]`,
    );
  }
  return (i) => data[i % data.length]!;
}

/** Returns the mean of predictions by weight, and their weighted sum where the weights sum to 0. */
function weightedMean(positives: readonly Positive[], length: number): Latent {
  const [only] = positives;
  if (only && positives.length === 1) return only.prediction;
  const mean = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    let [sum, total] = [0, 0];
    for (const { prediction, share } of positives) {
      sum += share(i) * prediction[i]!;
      total += share(i);
    }
    mean[i] = total === 0 ? sum : sum / total;
  }
  return mean;
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
