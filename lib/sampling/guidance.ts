/**
 * Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598): which predictions of the network a step needs, and how they
 * become one. Pure functions on flat batches `[rows, C, H, W]`, so that whatever runs the network can put all rows in one call.
 */
import { invalidOption, SafelightError } from '../errors.js';
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

export type Condition = 'negative' | 'positive';

/** @throws INVALID_OPTION if the scale is not finite, the interval not ascending or the rescale outside of [0, 1]. */
export function checkGuidance({ scale, interval, rescale = 0 }: Guidance): void {
  if (!Number.isFinite(scale)) throw invalidOption('cfg', 'finite number', scale);
  if (interval && !(interval.length === 2 && interval[0] >= 0 && interval[0] <= interval[1])) {
    throw invalidOption('guidance interval', 'two ascending sigmas', interval);
  }
  if (!(rescale >= 0 && rescale <= 1))
    throw invalidOption('guidance rescale', 'number between 0 and 1', rescale);
}

/** The conditions to run the network with at a sigma, in the order of the batch's rows: each once for every picture. */
export function conditionsAt({ scale, interval }: Guidance, sigma: number): readonly Condition[] {
  const applied = interval === undefined || (sigma >= interval[0] && sigma <= interval[1]);
  if (!applied || scale === 1) return ['positive'];
  return scale === 0 ? ['negative'] : ['negative', 'positive'];
}

/** All conditions that some sigma can ask for. */
export function possibleConditions({ scale, interval }: Guidance): readonly Condition[] {
  if (scale === 1) return ['positive'];
  return scale === 0 && interval === undefined ? ['negative'] : ['negative', 'positive'];
}

/** The latents `[B, ...]` once for each condition: the network's input `[conditions * B, ...]`. */
export function repeatFor(conditions: readonly Condition[], latents: Latent): Latent {
  const rows = new Float32Array(conditions.length * latents.length);
  for (let i = 0; i < conditions.length; i++) rows.set(latents, i * latents.length);
  return rows;
}

/**
 * One prediction a picture, `[B, ...]`, of the network's predictions `[conditions * B, ...]`: negative + scale * (positive -
 * negative), rescaled for each picture. The predictions may be of the noise, v or x0; what rescaling does depends on which (as
 * in diffusers it is the network's own).
 *
 * @param count pictures, B. @throws SHAPE_MISMATCH if the predictions do not divide into so many.
 */
export function combinePredictions(
  { scale, rescale = 0 }: Guidance,
  conditions: readonly Condition[],
  predictions: Latent,
  count: number,
): Latent {
  const size = predictions.length / (conditions.length * count);
  if (!Number.isInteger(size)) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `The network gave ${predictions.length} numbers for ${conditions.length} x ${count} latents`,
    );
  }
  if (conditions.length === 1) return predictions;
  const negative = predictions.subarray(0, count * size);
  const positive = predictions.subarray(count * size);
  const guided = new Float32Array(count * size);
  for (let i = 0; i < guided.length; i++) guided[i] = negative[i]! + scale * (positive[i]! - negative[i]!);
  if (rescale > 0) {
    for (let start = 0; start < guided.length; start += size) {
      rescaleToDeviation(
        guided.subarray(start, start + size),
        positive.subarray(start, start + size),
        rescale,
      );
    }
  }
  return guided;
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
