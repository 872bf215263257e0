/** One pass of a batch of images through the sampler. */

import { isAborted, throwIfAborted } from '../../errors.js';
import type { DenoiseModel } from '../../families/family.js';
import type { Guidance, GuidancePair } from '../../sampling/guidance.js';
import type { NoiseSchedule } from '../../sampling/noise-schedule.js';
import type { SamplerInfo } from '../../sampling/samplers/index.js';
import type { NoiseSource, SamplerOptions } from '../../sampling/types.js';
import { throwIfNotFinite } from '../../tensor/finite.js';
import { Tensor } from '../../tensor/tensor.js';
import type { DeepCacheSettings } from '../deep-cache-options.js';
import { GuidedDenoiser, keepOutside } from './guided-denoiser.js';
import type { SessionSlot } from './session-slot.js';

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

/** The end of a pass. */
export interface Denoised {
  /** `[B, C, h, w]`; after `finish` that of `before` in place of h and w if no evaluation was done. */
  readonly latent: Tensor;
  /** Evaluations of the model that were done. */
  readonly evaluations: number;
  /** Ended by `finish` before its last step. */
  readonly unfinished: boolean;
}

/** A step of the sampler, and what was read out of the network's last run in it. */
export interface DenoiseStep {
  /** 0-based. */
  readonly step: number;
  readonly steps: number;
  /** Noise levels before and after the step. */
  readonly sigma: number;
  readonly sigmaNext: number;
  /** `[B, C, h, w]`, the sampler's own state: what is written into it counts from the next step on. */
  readonly latent: Tensor;
  /** `[B, C, h, w]`: the image that the model saw at this step; what is written into it, multi-step samplers remember. */
  readonly x0: Tensor;
  /** By name; their batches go through `conditions`, and within them through the images. */
  readonly taps: Readonly<Record<string, Tensor>>;
  readonly conditions: readonly string[];
}

/**
 * Yields after each step; what is written into the step's latent counts from then on.
 * @throws NOT_FINITE, ABORTED, DISPOSED, INVALID_OPTION for an unknown tap
 */
export async function* denoiseSteps(
  model: DenoiseModel,
  run: DenoiseRun,
): AsyncGenerator<DenoiseStep, Denoised> {
  const { latent, sampler, signal, finish, keep } = run;
  const denoiser = new GuidedDenoiser(model, run);
  const { prediction } = model;
  const create = sampler.create({ schedule: run.noiseSchedule, prediction });
  const steps = create(denoiser.denoise, latent.data, run.sigmas, run.noise, run.samplerOptions);
  try {
    for (;;) {
      const next = await steps.next();
      if (next.done) {
        throwIfNotFinite(next.value, 'The latent');
        if (keep) keepOutside(next.value, keep.latent.data, keep.mask);
        const last = Tensor.from(next.value, latent.shape);
        return { latent: last, evaluations: denoiser.evaluations, unfinished: false };
      }
      const { latent: x, denoised, ...step } = next.value;
      throwIfNotFinite(x, 'The latent');
      const tensors = { latent: Tensor.from(x, latent.shape), x0: Tensor.from(denoised, latent.shape) };
      yield { ...step, ...tensors, taps: denoiser.taps, conditions: denoiser.conditions };
      throwIfAborted(signal);
    }
  } catch (error) {
    const ended = finish?.aborted && !signal?.aborted && isAborted(error);
    if (!ended) throw error;
    return { latent: denoiser.seen(), evaluations: denoiser.evaluations, unfinished: true };
  }
}
