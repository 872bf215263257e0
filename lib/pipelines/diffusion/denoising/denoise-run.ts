import type { StepCacheSettings } from '../../../options/settings/step-cache.js';
import type { Guidance, GuidanceSchedule } from '../../../sampling/guidance.js';
import type { NetworkChanges } from '../../../sampling/network.js';
import type { NoiseSchedule } from '../../../sampling/noise-schedule.js';
import type { RunnableSampler } from '../../../sampling/samplers/index.js';
import type { NoiseSource, SamplerOptions } from '../../../sampling/types.js';
import type { Tensor } from '../../../tensor/tensor.js';
import type { Edits } from './edited-network.js';
import type { SessionSlot } from './session-slot.js';

/** Inputs of a sampling pass, in addition to the model. */
export interface DenoiseRun {
  /** `[B, C, h, w]` at the noise level of the first sigma. */
  readonly latent: Tensor;
  readonly sigmas: readonly number[];
  readonly noiseSchedule: NoiseSchedule;
  readonly noise: NoiseSource;
  readonly sampler: RunnableSampler;
  readonly samplerOptions: SamplerOptions;
  readonly conditioning: GuidanceSchedule;
  readonly guidance: Guidance;
  /** Owns the network session of the pass; the caller disposes it after the last pass. */
  readonly sessions: SessionSlot;
  /** `[1 or B, n, h, w]`, concatenated with the latent as additional input channels (inpainting models). */
  readonly extra?: Tensor | undefined;
  /** Unmasked content to keep: x0 becomes x0 * mask + latent * (1 - mask); latent `[B, C, h, w]`, mask `[h, w]`. */
  readonly keep?: { readonly latent: Tensor; readonly mask: Float32Array } | undefined;
  /** Step caching, which starts anew with each pass. Cannot be combined with taps. */
  readonly stepCache?: StepCacheSettings | undefined;
  readonly changes?: NetworkChanges | undefined;
  readonly taps?: readonly string[] | undefined;
  /** Functions that modify values of network nodes. Cannot be combined with step caching. */
  readonly edit?: Edits | undefined;
  /** Returns the predictions of the last evaluation with each step. */
  readonly predictions?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /**
   * Ends the pass at once, aborting the current evaluation; the result is the last x0, or `before` if there is none
   * yet.
   */
  readonly finish?: AbortSignal | undefined;
  /** Latent before the noise of this pass was added; undefined for a pass that starts from noise only. */
  readonly before?: Tensor | undefined;
}
