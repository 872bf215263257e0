/** One pass of a batch of pictures through the sampler: the only place where samplers and the U-Net meet. */

import { throwIfAborted } from '../errors.js';
import type { SchedulerConfig } from '../models/config.js';
import type { UNet } from '../models/unet.js';
import { createDenoise, type DiscreteSchedule } from '../sampling/denoiser.js';
import {
  type Condition,
  combinePredictions,
  conditionsAt,
  type Guidance,
  repeatFor,
} from '../sampling/guidance.js';
import type { SamplerInfo } from '../sampling/samplers/index.js';
import type { Denoise, Latent, NoiseSource, SamplerOptions } from '../sampling/types.js';
import { Tensor } from '../tensor/tensor.js';
import type { Encoding } from './conditioning.js';
import { throwIfNotFinite } from './finite.js';
import { type DeepCacheSettings, StepCache } from './step-cache.js';

/** The U-Net, and how it was trained. */
export interface DenoiseModel {
  readonly unet: UNet;
  readonly schedule: DiscreteSchedule;
  readonly prediction: SchedulerConfig['prediction'];
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
  readonly conditioning: Readonly<Record<Condition, Encoding>>;
  readonly guidance: Guidance;
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

/** x * mask + kept * (1 - mask), in place; the mask is the same for every picture and channel. */
function keepOutside(x: Latent, kept: Latent, mask: Float32Array): void {
  for (let i = 0; i < x.length; i++) {
    const m = mask[i % mask.length]!;
    x[i] = x[i]! * m + kept[i]! * (1 - m);
  }
}

/** The U-Net with everything but latent and time settled. */
class Network {
  taps: Readonly<Record<string, Tensor>> = {};
  private readonly cache: StepCache | undefined;
  private readonly inputs = new Map<string, { context: Tensor; textEmbeds?: Tensor; timeIds?: Tensor }>();

  constructor(
    private readonly model: DenoiseModel,
    private readonly run: DenoiseRun,
  ) {
    if (run.deepCache) this.cache = new StepCache(model.unet, run.deepCache);
  }

  async predict(scaled: Latent, t: number, conditions: readonly Condition[]): Promise<Latent> {
    this.cache?.begin(conditions);
    const pictures = this.run.latent.shape[0]!;
    // Taps are of one run, with all conditions in it.
    if (!this.model.oneByOne || this.run.taps?.length) {
      const all = await this.forward(scaled, t, conditions);
      return combinePredictions(this.run.guidance, conditions, all, pictures);
    }
    const all = new Float32Array(scaled.length * conditions.length);
    for (const [i, condition] of conditions.entries()) {
      all.set(await this.forward(scaled, t, [condition]), i * scaled.length);
    }
    return combinePredictions(this.run.guidance, conditions, all, pictures);
  }

  /** These conditions in one batch. */
  private async forward(scaled: Latent, t: number, conditions: readonly Condition[]): Promise<Latent> {
    const { latent, extra, taps, signal } = this.run;
    const [pictures = 0, channels = 0, height = 0, width = 0] = latent.shape;
    const rows = pictures * conditions.length;
    let sample = Tensor.from(repeatFor(conditions, scaled), [rows, channels, height, width]);
    if (extra) sample = joinChannels(sample, extra);
    const inputs = {
      sample,
      timestep: Tensor.from(new Float32Array(rows).fill(t), [rows]),
      ...this.inputsFor(conditions, pictures),
    };
    const output = await (this.cache
      ? this.cache.run(inputs, conditions, signal)
      : this.model.unet.forward(inputs, { taps, signal }));
    this.taps = output.taps;
    return output.sample.data;
  }

  /** The same at every step. */
  private inputsFor(conditions: readonly Condition[], pictures: number) {
    const key = conditions.join();
    let inputs = this.inputs.get(key);
    if (!inputs) {
      const encodings = conditions.map((condition) => this.run.conditioning[condition]);
      inputs = {
        context: repeatRows(
          encodings.map((e) => e.context),
          pictures,
        ),
        ...this.additions(encodings, conditions, pictures),
      };
      this.inputs.set(key, inputs);
    }
    return inputs;
  }

  /** SDXL's: pooled text, and the sizes that the picture pretends to have. */
  private additions(encodings: readonly Encoding[], conditions: readonly Condition[], pictures: number) {
    const { addition } = this.model.unet.config;
    const pooled = encodings.flatMap((e) => e.pooled ?? []);
    if (!addition || pooled.length < encodings.length) return {};
    const count = Math.round((addition.input_dim - pooled[0]!.size) / addition.time_embed_dim);
    const { width, height } = this.run.pixels;
    const ids = conditions.map((condition) => {
      // Original size, corner of the crop, and target size; the refiner has an aesthetic score in the last one's place.
      const all =
        count === 5
          ? [height, width, 0, 0, condition === 'positive' ? 6 : 2.5]
          : [height, width, 0, 0, height, width];
      return Tensor.from(Float32Array.from(all), [1, all.length]);
    });
    return { textEmbeds: repeatRows(pooled, pictures), timeIds: repeatRows(ids, pictures) };
  }
}

/** Tensors `[1, ...]` each `times` over, one after the other. */
function repeatRows(tensors: readonly Tensor[], times: number): Tensor {
  const [first] = tensors as [Tensor];
  const out = new Float32Array(first.size * times * tensors.length);
  tensors.forEach((tensor, i) => {
    for (let k = 0; k < times; k++) out.set(tensor.data, (i * times + k) * first.size);
  });
  return Tensor.from(out, [times * tensors.length, ...first.shape.slice(1)]);
}

/** `[R, C, h, w]` and `[1 or B, n, h, w]` (repeated until there are R) to `[R, C + n, h, w]`. */
export function joinChannels(sample: Tensor, extra: Tensor): Tensor {
  const [rows = 0, channels = 0, height = 0, width = 0] = sample.shape;
  const more = extra.shape[1]!;
  const joined = Tensor.zeros([rows, channels + more, height, width]);
  for (let r = 0; r < rows; r++) {
    const row = joined.at(r).data;
    row.set(sample.at(r).data);
    row.set(extra.at(r % extra.shape[0]!).data, channels * height * width);
  }
  return joined;
}
