/** Properties of samplers that pipelines depend on. */
import type { NoiseSchedule } from '../noise-schedule.js';
import type { Prediction } from '../prediction.js';
import type { ScheduleName } from '../schedules/index.js';
import type { Sampler } from '../types.js';

/** Properties of a model that samplers depend on, in addition to its `Denoise`. */
export interface SampledModel {
  readonly schedule: NoiseSchedule;
  readonly prediction: Prediction;
}

export interface SamplerFacts {
  /** A1111's name, as displayed and saved. */
  readonly label: string;
  /** Other accepted names (k-diffusion, A1111's aliases, ComfyUI). */
  readonly aliases: readonly string[];
  /** Creates the sampler for a model; most samplers do not depend on it. */
  readonly create: (model: SampledModel) => Sampler;
  /** Model calls per step, for time estimates; for dpm_adaptive, 3 per attempted step. */
  readonly callsPerStep: 1 | 2 | 3;
  /** Adds noise from each image's generator at its default eta. */
  readonly ancestral: boolean;
  /** Uses noise from the Brownian tree. */
  readonly usesBrownian: boolean;
  /** Default of `eta`; undefined if the sampler ignores eta. */
  readonly defaultEta: number | undefined;
  /** A1111's default eta if it differs from the reference's, for restoring saved settings. */
  readonly a1111Eta: number | undefined;
  /** Supports sChurn, sTmin and sTmax. */
  readonly churns: boolean;
  /**
   * Runs on `ownSigmas` unless a schedule is requested. For flow matching, which has no discrete timesteps, it always
   * uses a schedule.
   */
  readonly ownsSchedule: boolean;
  /** Runs on its own timesteps in A1111 even if a schedule is requested. */
  readonly a1111IgnoresSchedule: boolean;
  /** Returns its n + 1 sigmas of n steps; defined if `ownsSchedule`. @throws INVALID_OPTION for too many steps */
  readonly ownSigmas?: (schedule: NoiseSchedule, steps: number) => number[];
  /**
   * Scale of the initial noise of text to image. `sigma`: x = noise * sigma (k-diffusion, A1111). `vp`: x = noise *
   * sqrt(1 + sigma^2), so that the network's first input equals the noise (diffusers; A1111 for these samplers).
   * Image to image starts from latent + noise * sigma in both cases; for flow matching both are noise * sigma.
   */
  readonly initialNoise: 'sigma' | 'vp';
  /** A1111 computes one more step and omits the penultimate sigma; Safelight does so only on request. */
  readonly discardsPenultimate: boolean;
  /**
   * Largest batch. 1 for adaptive samplers: images of a batch share their noise levels, so each image would depend on
   * the others.
   */
  readonly maxBatch: number;
  /** Schedule of A1111's "Automatic". */
  readonly automaticSchedule: ScheduleName;
  /** Form for flow-matching models. */
  readonly flow: FlowForm;
}

/**
 * Form of a sampler for flow matching, x = (1 - sigma) * x0 + sigma * noise.
 *
 * - `same`: the same formula, because (x - x0) / sigma is dx/dsigma of both processes.
 * - `lambda`: integrates in lambda = log(alpha / sigma), starting at the shifted sigma of time 0.999 instead of 1,
 *   where lambda is infinite.
 * - `renoise`: scales x and adds noise so that the latent has the variance of the next sigma.
 * - `none`: not supported.
 */
export type FlowForm = 'same' | 'lambda' | 'renoise' | 'none';
