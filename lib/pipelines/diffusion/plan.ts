/** A way of making images, prepared once and then run batch by batch. */
import type { NoiseSchedule } from '../../sampling/noise-schedule.js';
import type { NoiseSource } from '../../sampling/types.js';
import type { RgbImage } from '../../tensor/render.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { ImageBatch } from './seeds.js';

/** A batch ready for the sampler. */
export interface Pass {
  /** `[B, C, h, w]`, noisy. */
  readonly latent: Tensor;
  readonly sigmas: readonly number[];
  readonly noiseSchedule: NoiseSchedule;
  readonly noise: NoiseSource;
  readonly extra?: Tensor | undefined;
  /** The latent without its noise, where it was one of an image. */
  readonly before?: Tensor | undefined;
  readonly keep?: { readonly latent: Tensor; readonly mask: Float32Array } | undefined;
}

export interface Plan {
  /** Pixels that the latents stand for. */
  readonly width: number;
  readonly height: number;
  /** Steps of each batch. */
  readonly steps: number;
  /** A batch of these seeds. */
  pass(batch: ImageBatch): Pass;
  /** What becomes of a decoded picture. */
  finish(image: RgbImage): Promise<RgbImage>;
}
