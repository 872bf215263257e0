/**
 * The noise levels of a model: x = alpha(sigma) * x0 + sigma * noise. U-Nets are run with alpha 1 (variance exploding), models
 * trained by flow matching with alpha 1 - sigma.
 *
 * Divided by alpha, a latent of either kind is x0 + ratio * noise with ratio = sigma / alpha, so that -log(ratio) is half the
 * log of the signal-to-noise ratio (lambda in DPM-Solver). Solvers that work in lambda are written in ratios.
 */
import type { Latent } from './types.js';

export interface NoiseSchedule {
  /** The lowest and the highest trained sigma. */
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  /** Trained sigmas, ascending. */
  readonly sigmas: Float32Array;
  /** The factor of x0 in a latent at this sigma. */
  alpha(sigma: number): number;
  /** Product of (1 - beta) up to each timestep; only of models trained on discrete timesteps of a diffusion. */
  readonly alphasCumprod?: Float32Array;
  /** The timestep that a network takes at a sigma, and back. */
  sigmaToT(sigma: number): number;
  tToSigma(t: number): number;
  /** Times of flow matching; undefined where alpha is 1. */
  readonly flow?: FlowTimes;
}

/** Times from 1 (noise) to 0 (image), and the sigmas that a model's shift makes of them. */
export interface FlowTimes {
  /** The sigma of a time. */
  shift(time: number): number;
  /** Sigmas of descending times: each shifted, then all stretched to the terminal sigma where the model has one. */
  spread(times: readonly number[]): number[];
  /** The last time of evenly spaced ones that begin at 1. */
  readonly lastTime: number;
}

/** Tells a schedule of flow matching from a variance-exploding one. */
export function isFlow(schedule: NoiseSchedule): schedule is NoiseSchedule & { readonly flow: FlowTimes } {
  return schedule.flow !== undefined;
}

/** alpha * x0 + sigma * noise: where image to image begins. @param strength multiplies the noise */
export function addNoise(
  schedule: NoiseSchedule,
  x0: Latent,
  noise: Latent,
  sigma: number,
  strength = 1,
): Latent {
  const [alpha, scale] = [schedule.alpha(sigma), sigma * strength];
  return x0.map((value, i) => alpha * value + noise[i]! * scale);
}

/** sigma / alpha: the sigma itself where alpha is 1, infinite for the pure noise of a flow. */
export function noiseRatio(schedule: NoiseSchedule, sigma: number): number {
  return sigma / schedule.alpha(sigma);
}

/** The sigma of a ratio. */
export function sigmaOfRatio(schedule: NoiseSchedule, ratio: number): number {
  return isFlow(schedule) ? ratio / (1 + ratio) : ratio;
}

/** The time in place of 1 where a solver needs a finite ratio. Reference: diffusers `DPMSolverMultistepScheduler` (flow sigmas). */
const ALMOST_NOISE = 0.999;

/**
 * The same sigmas, each with a finite ratio: pure noise, the first, becomes the shifted sigma of time 0.999; half way to the
 * second where that lies even higher.
 */
export function withFiniteRatios(schedule: NoiseSchedule, sigmas: readonly number[]): readonly number[] {
  const [first = 0, second = 0, ...rest] = sigmas;
  if (!isFlow(schedule) || first < 1) return sigmas;
  return [Math.max(schedule.flow.shift(ALMOST_NOISE), (1 + second) / 2), second, ...rest];
}
