import type { DeepCacheSettings } from '../../../options/settings/sampling.js';
import type { Guidance, GuidancePair } from '../../../sampling/guidance.js';
import type { NoiseSchedule } from '../../../sampling/noise-schedule.js';
import type { SamplerInfo } from '../../../sampling/samplers/index.js';
import type { NoiseSource, SamplerOptions } from '../../../sampling/types.js';
import type { Tensor } from '../../../tensor/tensor.js';
import type { SessionSlot } from './session-slot.js';

/** Everything that one pass of a batch through the sampler needs besides the model. */
export interface DenoiseRun {
  /** `[B, C, h, w]`, noisy at the first of the sigmas. */
  readonly latent: Tensor;
  readonly sigmas: readonly number[];
  readonly noiseSchedule: NoiseSchedule;
  readonly noise: NoiseSource;
  readonly sampler: SamplerInfo;
  readonly samplerOptions: SamplerOptions;
  readonly conditioning: GuidancePair;
  readonly guidance: Guidance;
  /** Holds the session of the pass; the caller disposes of it once the last pass is done. */
  readonly sessions: SessionSlot;
  /** `[1 or B, n, h, w]`, joined to the latent as further channels of the network's input (inpainting models). */
  readonly extra?: Tensor | undefined;
  /** What stays: x0 becomes x0 * mask + latent * (1 - mask); latent `[B, C, h, w]`, mask `[h, w]`. */
  readonly keep?: { readonly latent: Tensor; readonly mask: Float32Array } | undefined;
  /** Step caching; begins anew with each pass. Not with taps. */
  readonly deepCache?: DeepCacheSettings | undefined;
  readonly taps?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Ends the pass at once, without the evaluation under way: with the last x0, or with `before` where there is none yet. */
  readonly finish?: AbortSignal | undefined;
  /** What the latent was before the noise of this pass; of a pass from noise alone there is nothing. */
  readonly before?: Tensor | undefined;
}
