import type { ByteImage } from './resample.js';
import { inSlices } from './slices.js';

/**
 * Mixes two images of one size: `share` 0 is `a`, 1 is `b`. An image without alpha is opaque.
 * @throws ABORTED
 */
export async function mix(
  a: ByteImage,
  b: ByteImage,
  share: number,
  signal?: AbortSignal,
): Promise<ByteImage> {
  const { width, height } = a;
  const channels = Math.max(a.channels, b.channels);
  const data = new Uint8Array(width * height * channels);
  const at = (image: ByteImage, pixel: number, c: number): number =>
    c < image.channels ? image.data[pixel * image.channels + c]! : 255;
  // Each value takes about as long as four multiplications.
  await inSlices(height, width * channels * 4, signal, (y) => {
    for (let pixel = y * width; pixel < (y + 1) * width; pixel++)
      for (let c = 0; c < channels; c++) {
        const from = at(a, pixel, c);
        data[pixel * channels + c] = Math.round(from + (at(b, pixel, c) - from) * share);
      }
  });
  return { data, width, height, channels };
}
