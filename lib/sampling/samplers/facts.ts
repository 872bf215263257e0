/** Facts about a sampler that a pipeline must know to run it. */
import type { NoiseSchedule } from '../noise-schedule.js';
import type { Prediction } from '../prediction.js';
import type { ScheduleName } from '../schedules/index.js';
import type { Sampler } from '../types.js';

/** The facts of a model that samplers depend on besides its `Denoise`. */
export interface SampledModel {
  readonly schedule: NoiseSchedule;
  readonly prediction: Prediction;
}

export interface SamplerFacts {
  /** As A1111 displays and saves it. */
  readonly label: string;
  /** The names it has elsewhere (k-diffusion, A1111's aliases, ComfyUI). */
  readonly aliases: readonly string[];
  /** The sampler for a model; most are the same for all. */
  readonly create: (model: SampledModel) => Sampler;
  /** Model calls of a full step, for time estimates; 3 for the adaptive one are each attempt's. */
  readonly callsPerStep: 1 | 2 | 3;
  /** Adds fresh noise from each image's generator while it runs, with its default eta. */
  readonly ancestral: boolean;
  /** Draws from the Brownian tree. */
  readonly usesBrownian: boolean;
  /** `eta` if not given; undefined where eta means nothing. */
  readonly defaultEta: number | undefined;
  /** The eta A1111 runs it with by default, where that is another than the reference's: for replaying saved settings. */
  readonly a1111Eta: number | undefined;
  /** Takes sChurn, sTmin and sTmax. */
  readonly churns: boolean;
  /** It ignores the schedule: run it on `ownSigmas`. On a flow, which has no discrete timesteps, it takes the schedule. */
  readonly ownsSchedule: boolean;
  /** Its sigmas for n steps, n + 1 of them; only where `ownsSchedule`. @throws INVALID_OPTION for too many steps. */
  readonly ownSigmas?: (schedule: NoiseSchedule, steps: number) => number[];
  /**
   * Scale of the first noise at the first sigma, for text to image. `sigma`: x = noise * sigma (k-diffusion, A1111).
   * `vp`: x = noise * sqrt(1 + sigma^2), so that the network's first input is the noise itself (diffusers; A1111 for these).
   * Image to image starts from latent + noise * sigma in both. On a flow both are noise * sigma.
   */
  readonly initialNoise: 'sigma' | 'vp';
  /** A1111 runs it without the penultimate sigma (of one step more); Safelight only where asked to. */
  readonly discardsPenultimate: boolean;
  /**
   * Images that may share a batch. 1 of samplers that size their steps by the latents: images of one batch share their noise levels, so
   * that each image would depend on the others.
   */
  readonly maxBatch: number;
  /** The schedule of A1111's "Automatic". */
  readonly automaticSchedule: ScheduleName;
  /** Its form on a flow-matching model. */
  readonly flow: FlowForm;
}

/**
 * The form of a sampler on x = (1 - sigma) * x0 + sigma * noise.
 *
 * - `same`: the formula as it is, for (x - x0) / sigma is dx/dsigma of either process.
 * - `lambda`: integrates in lambda = log(alpha / sigma), from the shifted sigma of time 0.999 in place of 1, where lambda is infinite.
 * - `renoise`: adds noise by alpha and sigma, so that the variance of the next sigma comes out.
 * - `none`: refused.
 */
export type FlowForm = 'same' | 'lambda' | 'renoise' | 'none';
