/** One pass of a batch of pictures through the sampler: the only place where samplers and the U-Net meet. */

import { throwIfAborted } from '../errors.js';
import type { SchedulerConfig } from '../models/config.js';
import type { UNet } from '../models/unet.js';
import { createDenoise, type DiscreteSchedule } from '../sampling/denoiser.js';
import { type Condition, conditionsAt, type Guidance } from '../sampling/guidance.js';
import type { SamplerInfo } from '../sampling/samplers/index.js';
import type { Denoise, Latent, NoiseSource, SamplerOptions } from '../sampling/types.js';
import { Tensor } from '../tensor/tensor.js';
import type { Conditions } from './condition.js';
import { throwIfNotFinite } from './finite.js';
import type { TextKeeper } from './kept-texts.js';
import { Network } from './network.js';
import type { DeepCacheSettings } from './step-cache.js';

/** The U-Net, and how it was trained. */
export interface DenoiseModel {
  readonly unet: UNet;
  readonly schedule: DiscreteSchedule;
  readonly prediction: SchedulerConfig['prediction'];
  /** Bound of each number of x0, of models of pixels. */
  readonly clip?: number | undefined;
  /** Conditions one after the other instead of in one batch: half the memory. */
  readonly oneByOne?: boolean;
}

export interface DenoiseRun {
  /** `[B, C, h, w]`, noisy at the first of the sigmas. */
  readonly latent: Tensor;
  readonly sigmas: readonly number[];
  readonly noise: NoiseSource;
  readonly sampler: SamplerInfo;
  readonly samplerOptions: SamplerOptions;
  readonly conditioning: Conditions;
  readonly guidance: Guidance;
  /** Keeps the texts with the U-Net; the caller disposes of it once the last pass is done. */
  readonly texts: TextKeeper;
  /** Of the picture in pixels, for models that are told it (SDXL). */
  readonly pixels: { readonly width: number; readonly height: number };
  /** `[1 or B, n, h, w]`, joined to the latent as further channels of the U-Net's input (inpainting models). */
  readonly extra?: Tensor | undefined;
  /** What stays: x0 becomes x0 * mask + latent * (1 - mask); latent `[B, C, h, w]`, mask `[h, w]`. */
  readonly keep?: { readonly latent: Tensor; readonly mask: Float32Array } | undefined;
  /** Step caching; begins anew with each pass. Not with taps. */
  readonly deepCache?: DeepCacheSettings | undefined;
  readonly taps?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Ends the pass after the step under way, with what the model saw in the picture then. */
  readonly finish?: AbortSignal | undefined;
}

/** A step of the sampler, and what was read out of the U-Net's last run in it. */
export interface DenoiseStep {
  /** 0-based. */
  readonly step: number;
  readonly steps: number;
  /** Noise levels before and after the step. */
  readonly sigma: number;
  readonly sigmaNext: number;
  /** `[B, C, h, w]`, the sampler's own state: what is written into it counts from the next step on. */
  readonly latent: Tensor;
  /** `[B, C, h, w]`: the picture that the model saw at this step; what is written into it, multi-step samplers remember. */
  readonly x0: Tensor;
  /** By name; batches of them go through the conditions, and within them through the pictures. */
  readonly taps: Readonly<Record<string, Tensor>>;
  readonly conditions: readonly Condition[];
}

/**
 * Yields after each step; what is written into the step's latent counts from then on. Returns the last latent `[B, C, h, w]`.
 * @throws NOT_FINITE, ABORTED, DISPOSED, INVALID_OPTION for an unknown tap
 */
export async function* denoiseSteps(
  model: DenoiseModel,
  run: DenoiseRun,
): AsyncGenerator<DenoiseStep, Tensor> {
  const { latent, sampler, signal, keep } = run;
  const network = new Network(model, run);
  let conditions: readonly Condition[] = [];
  const predicted = createDenoise(model.schedule, model.prediction, (scaled, t) =>
    network.predict(scaled, t, conditions),
  );
  const denoise: Denoise = async (x, sigma) => {
    throwIfAborted(signal);
    throwIfNotFinite(x, 'The latent');
    conditions = conditionsAt(run.guidance, sigma);
    const x0 = await predicted(x, sigma);
    if (model.clip !== undefined) bound(x0, model.clip);
    if (keep) keepOutside(x0, keep.latent.data, keep.mask);
    return x0;
  };
  const steps = sampler.create(model)(denoise, latent.data, run.sigmas, run.noise, run.samplerOptions);
  for (;;) {
    const next = await steps.next();
    if (next.done) {
      throwIfNotFinite(next.value, 'The latent');
      if (keep) keepOutside(next.value, keep.latent.data, keep.mask);
      return Tensor.from(next.value, latent.shape);
    }
    const { latent: x, denoised, ...step } = next.value;
    throwIfNotFinite(x, 'The latent');
    const tensors = { latent: Tensor.from(x, latent.shape), x0: Tensor.from(denoised, latent.shape) };
    yield { ...step, ...tensors, taps: network.taps, conditions };
    throwIfAborted(signal);
    if (run.finish?.aborted) {
      await steps.return(x);
      return tensors.x0;
    }
  }
}

/** In place. */
function bound(x: Latent, limit: number): void {
  for (let i = 0; i < x.length; i++) x[i] = Math.min(limit, Math.max(-limit, x[i]!));
}

/** x * mask + kept * (1 - mask), in place; the mask is the same for every picture and channel. */
function keepOutside(x: Latent, kept: Latent, mask: Float32Array): void {
  for (let i = 0; i < x.length; i++) {
    const m = mask[i % mask.length]!;
    x[i] = x[i]! * m + kept[i]! * (1 - m);
  }
}
