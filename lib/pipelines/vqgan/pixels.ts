/** Conversion of decoded tensors to bytes, and PSNR. */
import { SafelightError } from '../../errors.js';
import { throwIfNotFinite } from '../../tensor/finite.js';
import type { RgbImage } from '../../tensor/render.js';
import type { Tensor } from '../../tensor/tensor.js';
import { toPixels } from '../image-result.js';

/**
 * Renders `[1, C, H, W]`: RGB (C = 3), grey (C = 1), or the most probable class as grey level (other C).
 * @throws NOT_FINITE
 */
export function renderDecoded(decoded: Tensor): RgbImage {
  const [, channels = 0, height = 0, width = 0] = decoded.shape;
  if (channels === 3) return toPixels(decoded);
  throwIfNotFinite(decoded.data, 'The decoded image');
  if (channels > 1) return grayImage(argmax(decoded), width, height);
  return toPixels(decoded.repeat(1, 3, 1, 1));
}

/** Returns the channel with the largest value of each pixel. */
function argmax({ data, shape }: Tensor): Uint8Array {
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
 * Returns the peak signal-to-noise ratio in dB of the bytes of two images of equal size: 10 log10(255² / mean squared
 * difference), with the mean over all pixels and colours. Infinity for equal images.
 */
export function psnr(a: RgbImage, b: RgbImage): number {
  if (a.width !== b.width || a.height !== b.height)
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `Expected images of equal size for PSNR, received ${a.width} x ${a.height} and ${b.width} x ${b.height}`,
    );
  let sum = 0;
  for (let i = 0; i < a.data.length; i++) sum += (a.data[i]! - b.data[i]!) ** 2;
  return 10 * Math.log10((255 ** 2 * a.data.length) / sum);
}
