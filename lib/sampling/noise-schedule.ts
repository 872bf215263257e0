/**
 * Noise schedule of a model: x = alpha(sigma) * x0 + sigma * noise, with alpha 1 for U-Nets (variance exploding) and
 * 1 - sigma for flow-matching models.
 *
 * Divided by alpha, a latent of either process is x0 + ratio * noise with ratio = sigma / alpha, so -log(ratio) is
 * half the log of the signal-to-noise ratio (lambda in DPM-Solver). Solvers that integrate in lambda use these
 * ratios.
 */
import type { Latent } from './types.js';

export interface NoiseSchedule {
  /** Lowest and highest trained sigma. */
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  /** Trained sigmas, ascending. */
  readonly sigmas: Float32Array;
  /** Returns the factor of x0 in a latent at this sigma. */
  alpha(sigma: number): number;
  /** Product of (1 - beta) up to each timestep; undefined for flow-matching models. */
  readonly alphasCumprod?: Float32Array;
  /** Converts between a sigma and the timestep that the network receives. */
  sigmaToT(sigma: number): number;
  tToSigma(t: number): number;
  /** Times of flow matching; undefined for variance-exploding schedules (alpha 1). */
  readonly flow?: FlowTimes;
}

/** Mapping from times, 1 (noise) to 0 (image), to sigmas by the model's shift. */
export interface FlowTimes {
  /** Returns the sigma of a time. */
  shift(time: number): number;
  /** Returns the sigmas of descending times: shifted, then stretched to the model's terminal sigma, if any. */
  spread(times: readonly number[]): number[];
  /** Last of evenly spaced times that start at 1. */
  readonly lastTime: number;
}

/** True for a schedule of flow matching, false for a variance-exploding one. */
export function isFlow(schedule: NoiseSchedule): schedule is NoiseSchedule & { readonly flow: FlowTimes } {
  return schedule.flow !== undefined;
}

/** Returns alpha * x0 + sigma * noise, the start of image to image. @param strength factor of the noise */
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

/** Returns sigma / alpha: sigma itself for alpha 1, Infinity for pure noise in flow matching. */
export function noiseRatio(schedule: NoiseSchedule, sigma: number): number {
  return sigma / schedule.alpha(sigma);
}

/** Returns the sigma of a ratio. */
export function sigmaOfRatio(schedule: NoiseSchedule, ratio: number): number {
  return isFlow(schedule) ? ratio / (1 + ratio) : ratio;
}

/**
 * Time that replaces 1 for solvers that need a finite ratio. Reference: diffusers `DPMSolverMultistepScheduler` (flow
 * sigmas).
 */
const ALMOST_NOISE = 0.999;

/**
 * Returns sigmas with finite ratios: replaces a first sigma of 1 (pure noise) by the shifted sigma of time 0.999, or
 * by the midpoint of 1 and the second sigma if that is higher.
 */
export function withFiniteRatios(schedule: NoiseSchedule, sigmas: readonly number[]): readonly number[] {
  const [first = 0, second = 0, ...rest] = sigmas;
  if (!isFlow(schedule) || first < 1) return sigmas;
  return [Math.max(schedule.flow.shift(ALMOST_NOISE), (1 + second) / 2), second, ...rest];
}
