/** One pass of a batch of pictures through the sampler: the only place where samplers and the U-Net meet. */

import type { SchedulerConfig } from '../../checkpoint/config/types.js';
import { eitherOf, isAborted, throwIfAborted } from '../../errors.js';
import type { UNet } from '../../modules/unet.js';
import { createDenoise, type DiscreteSchedule } from '../../sampling/denoiser.js';
import { type Condition, conditionsAt, type Guidance } from '../../sampling/guidance.js';
import type { SamplerInfo } from '../../sampling/samplers/index.js';
import type { Denoise, Latent, NoiseSource, SamplerOptions } from '../../sampling/types.js';
import { throwIfNotFinite } from '../../tensor/finite.js';
import { Tensor } from '../../tensor/tensor.js';
import type { TextKeeper } from './cross-attention-cache.js';
import type { Conditions } from './guidance-branch.js';
import { Network } from './guided-denoiser.js';
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
 * Yields after each step; what is written into the step's latent counts from then on.
 * @throws NOT_FINITE, ABORTED, DISPOSED, INVALID_OPTION for an unknown tap
 */
export async function* denoiseSteps(
  model: DenoiseModel,
  run: DenoiseRun,
): AsyncGenerator<DenoiseStep, Denoised> {
  const { latent, sampler, signal, finish, keep } = run;
  const evaluations = new Evaluations(model, run);
  const { denoise } = evaluations;
  const steps = sampler.create(model)(denoise, latent.data, run.sigmas, run.noise, run.samplerOptions);
  try {
    for (;;) {
      const next = await steps.next();
      if (next.done) {
        throwIfNotFinite(next.value, 'The latent');
        if (keep) keepOutside(next.value, keep.latent.data, keep.mask);
        const last = Tensor.from(next.value, latent.shape);
        return { latent: last, evaluations: evaluations.done, unfinished: false };
      }
      const { latent: x, denoised, ...step } = next.value;
      throwIfNotFinite(x, 'The latent');
      const tensors = { latent: Tensor.from(x, latent.shape), x0: Tensor.from(denoised, latent.shape) };
      yield { ...step, ...tensors, taps: evaluations.taps, conditions: evaluations.conditions };
      throwIfAborted(signal);
    }
  } catch (error) {
    const ended = finish?.aborted && !signal?.aborted && isAborted(error);
    if (!ended) throw error;
    return { latent: evaluations.seen(), evaluations: evaluations.done, unfinished: true };
  }
}

/** The model as the sampler calls it, and what it saw last. */
class Evaluations {
  done = 0;
  conditions: readonly Condition[] = [];
  private x0: Latent | undefined;
  private readonly network: Network;
  private readonly predicted: Denoise;
  /** Stops an evaluation: `signal` or `finish`. */
  private readonly stop: AbortSignal | undefined;

  constructor(
    private readonly model: DenoiseModel,
    private readonly run: DenoiseRun,
  ) {
    this.stop = eitherOf(run.signal, run.finish);
    this.network = new Network(model, { ...run, signal: this.stop });
    this.predicted = createDenoise(model.schedule, model.prediction, (scaled, t) =>
      this.network.predict(scaled, t, this.conditions),
    );
  }

  get taps(): Readonly<Record<string, Tensor>> {
    return this.network.taps;
  }

  readonly denoise: Denoise = async (x, sigma) => {
    const { model, run } = this;
    throwIfAborted(this.stop);
    throwIfNotFinite(x, 'The latent');
    this.conditions = conditionsAt(run.guidance, sigma);
    const x0 = await this.predicted(x, sigma);
    if (model.clip !== undefined) bound(x0, model.clip);
    if (run.keep) keepOutside(x0, run.keep.latent.data, run.keep.mask);
    this.x0 = x0;
    this.done++;
    return x0;
  };

  /** The clean latent as far as it is known. @throws NOT_FINITE */
  seen(): Tensor {
    const { latent, before, sigmas } = this.run;
    if (!this.x0 && before) return before;
    // Noise alone, at the variance of latents: A1111 decodes it too.
    const scale = 1 / Math.hypot(1, sigmas[0] ?? 0);
    const x0 = this.x0 ?? latent.data.map((value) => value * scale);
    throwIfNotFinite(x0, 'The latent');
    return Tensor.from(x0, latent.shape);
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
