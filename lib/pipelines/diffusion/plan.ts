/** Plans of generations, which are prepared once per call and run batch by batch. */
import type { NoiseSchedule } from '../../sampling/noise-schedule.js';
import type { NoiseSource } from '../../sampling/types.js';
import type { RgbImage } from '../../tensor/render.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { ImageBatch } from './seeds.js';

/** Inputs of a sampling pass of one batch. */
export interface Pass {
  /** `[B, C, h, w]` at the noise level of the first sigma. */
  readonly latent: Tensor;
  readonly sigmas: readonly number[];
  readonly noiseSchedule: NoiseSchedule;
  readonly noise: NoiseSource;
  readonly extra?: Tensor | undefined;
  /** Latent of the initial image before noise was added; undefined for text to image. */
  readonly before?: Tensor | undefined;
  readonly keep?: { readonly latent: Tensor; readonly mask: Float32Array } | undefined;
}

export interface Plan {
  /** Size of the images in pixels. */
  readonly width: number;
  readonly height: number;
  /** Steps per batch. */
  readonly steps: number;
  /** Prepares the pass of a batch. */
  pass(batch: ImageBatch): Pass;
  /** Postprocesses a decoded image, such as blending it into the original. */
  finish(image: RgbImage): Promise<RgbImage>;
}
