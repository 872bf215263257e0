/** Conversions between image bytes, encoder moments and scaled latents. */

import type { AutoencoderConfig } from '../../checkpoint/config/types.js';
import type { ByteImage } from '../../image/resample.js';
import { throwIfNotFinite } from '../../tensor/finite.js';
import { Tensor } from '../../tensor/tensor.js';

/** Value in [-1, 1] of each byte. */
const UNITS = Float32Array.from({ length: 256 }, (_, byte) => (byte / 255) * 2 - 1);

/** Converts an RGB image to a tensor `[1, 3, H, W]` in [-1, 1]. */
export function imageTensor({ data, width, height }: ByteImage): Tensor {
  const plane = width * height;
  const out = new Float32Array(3 * plane);
  for (let i = 0; i < plane; i++) {
    out[i] = UNITS[data[3 * i]!]!;
    out[plane + i] = UNITS[data[3 * i + 1]!]!;
    out[2 * plane + i] = UNITS[data[3 * i + 2]!]!;
  }
  return Tensor.from(out, [1, 3, height, width]);
}

/**
 * Returns scaled latents of an image: (z - shift) * scale.
 * @param moments `[1, 2C, h, w]`: mean and log variance of the encoder's distribution
 * @param noise `[B, C * h * w]` normal numbers for B samples of the distribution; without it, the mean is used
 * @returns `[B, C, h, w]`, or `[1, C, h, w]` for the mean
 * @throws NOT_FINITE
 */
export function latentsOf(moments: Tensor, config: AutoencoderConfig, noise?: Float32Array): Tensor {
  const [, twice = 0, height = 0, width = 0] = moments.shape;
  const shape = [twice / 2, height, width];
  const size = moments.size / 2;
  const { scaling_factor: scale, shift_factor: shift } = config;
  const count = noise ? noise.length / size : 1;
  const out = new Float32Array(count * size);
  for (let i = 0; i < out.length; i++) {
    const at = i % size;
    // The log variance is clamped as in diffusers and LDM.
    const deviation = noise
      ? Math.exp(0.5 * Math.min(20, Math.max(-30, moments.data[size + at]!))) * noise[i]!
      : 0;
    out[i] = (moments.data[at]! + deviation - shift) * scale;
  }
  throwIfNotFinite(out, 'The encoded image');
  return Tensor.from(out, [count, ...shape]);
}

type Scale = Pick<AutoencoderConfig, 'scaling_factor' | 'shift_factor'>;

/** Scales latents for the sampler: (z - shift) * scale. */
export function scaled(latent: Tensor, { scaling_factor: scale, shift_factor: shift }: Scale): Tensor {
  return Tensor.from(
    latent.data.map((z) => (z - shift) * scale),
    latent.shape,
  );
}

/** Reverts the scaling of latents for the decoder: z / scale + shift. */
export function unscaled(latent: Tensor, { scaling_factor: scale, shift_factor: shift }: Scale): Tensor {
  return Tensor.from(
    latent.data.map((z) => z / scale + shift),
    latent.shape,
  );
}
