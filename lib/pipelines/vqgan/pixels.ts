/** Decoded pictures as bytes, and how far two of them are apart. */
import { SafelightError } from '../../errors.js';
import { throwIfNotFinite } from '../../tensor/finite.js';
import type { RgbImage } from '../../tensor/render.js';
import type { Tensor } from '../../tensor/tensor.js';
import { toPixels } from '../image-result.js';

/** `[1, C, H, W]` as a picture: RGB, gray, or of a map of classes the most probable as a gray level. @throws NOT_FINITE */
export function renderDecoded(decoded: Tensor): RgbImage {
  const [, channels = 0, height = 0, width = 0] = decoded.shape;
  if (channels === 3) return toPixels(decoded);
  throwIfNotFinite(decoded.data, 'The decoded picture');
  if (channels > 1) return grayImage(largest(decoded), width, height);
  return toPixels(decoded.repeat(1, 3, 1, 1));
}

/** The channel of the largest value, for each pixel. */
function largest({ data, shape }: Tensor): Uint8Array {
  const [, channels = 0, height = 0, width = 0] = shape;
  const plane = height * width;
  return Uint8Array.from({ length: plane }, (_, i) => {
    let best = 0;
    for (let c = 1; c < channels; c++) if (data[c * plane + i]! > data[best * plane + i]!) best = c;
    return Math.min(best, 255);
  });
}

function grayImage(gray: Uint8Array, width: number, height: number): RgbImage {
  return {
    data: Uint8Array.from({ length: gray.length * 3 }, (_, i) => gray[Math.floor(i / 3)]!),
    width,
    height,
  };
}

/**
 * Peak signal-to-noise ratio in dB of two pictures of one size, over their bytes: 10 log10(255² / mean squared difference), the mean over
 * all pixels and colours. Infinity if they are the same.
 */
export function psnr(a: RgbImage, b: RgbImage): number {
  if (a.width !== b.width || a.height !== b.height)
    throw new SafelightError('SHAPE_MISMATCH', 'PSNR is of pictures of the same size');
  let sum = 0;
  for (let i = 0; i < a.data.length; i++) sum += (a.data[i]! - b.data[i]!) ** 2;
  return 10 * Math.log10((255 ** 2 * a.data.length) / sum);
}
