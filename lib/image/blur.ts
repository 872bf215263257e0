/**
 * The two Gaussian blurs of inpainting, byte-exact: OpenCV's, with which A1111 softens masks, and Pillow's, with which
 * it spreads the surroundings into the masked area (`fill`).
 */
import type { ByteImage } from './resample.js';
import { inSlices } from './slices.js';

/**
 * Blurs like OpenCV's `GaussianBlur` along x and then along y, as A1111 does with masks: 2·⌊2.5·σ + ½⌋ + 1 taps in
 * 8-bit fixed point with rounding errors carried from tap to tap; edges are mirrored without repeating the last pixel.
 * @throws ABORTED
 */
export async function blurMask(
  mask: ByteImage,
  [x, y]: readonly [sigmaX: number, sigmaY: number],
  signal?: AbortSignal,
): Promise<ByteImage> {
  const along = (image: ByteImage, sigma: number): Promise<ByteImage> =>
    alongX(image, fixedKernel(2 * Math.floor(2.5 * sigma + 0.5) + 1, sigma), signal);
  const rows = x > 0 ? await along(mask, x) : mask;
  return y > 0 ? transpose(await along(transpose(rows), y)) : rows;
}

function fixedKernel(size: number, sigma: number): Int32Array {
  const middle = (size - 1) / 2;
  const exact = Array.from({ length: size }, (_, i) => Math.exp(-((i - middle) ** 2) / (2 * sigma * sigma)));
  const total = exact.reduce((a, b) => a + b, 0);
  const kernel = new Int32Array(size);
  let error = 0;
  let sum = 0;
  for (let i = 0; i < middle; i++) {
    const scaled = (exact[i]! / total) * 256 + error;
    const rounded = roundEven(scaled);
    error = scaled - rounded;
    kernel[i] = kernel[size - 1 - i] = rounded;
    sum += 2 * rounded;
  }
  kernel[middle] = 256 - sum;
  return kernel;
}

async function alongX(
  image: ByteImage,
  kernel: Int32Array,
  signal: AbortSignal | undefined,
): Promise<ByteImage> {
  const { width, height, channels, data } = image;
  const out = new Uint8Array(data.length);
  const half = (kernel.length - 1) / 2;
  // Offset in the row of each tap of each pixel.
  const places = Int32Array.from({ length: width + 2 * half }, (_, i) => mirror(i - half, width) * channels);
  await inSlices(height, width * channels * kernel.length, signal, (y) => {
    const row = y * width * channels;
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) {
        let sum = 128;
        for (let k = 0; k < kernel.length; k++) sum += kernel[k]! * data[row + places[x + k]! + c]!;
        out[row + x * channels + c] = Math.min(255, sum >> 8);
      }
    }
  });
  return { ...image, data: out };
}

/** Returns the index into a line that is continued by its mirror image without repeating the edge pixel. */
function mirror(i: number, length: number): number {
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const at = ((i % period) + period) % period;
  return at < length ? at : period - at;
}

function roundEven(x: number): number {
  const down = Math.floor(x);
  const fraction = x - down;
  return fraction > 0.5 || (fraction === 0.5 && down % 2 !== 0) ? down + 1 : down;
}

/**
 * Blurs like Pillow's `ImageFilter.GaussianBlur`: three box blurs of fractional radius along x, then three along y,
 * each rounded to bytes (src/libImaging/BoxBlur.c; Gwosdek et al. 2011, "Theoretical foundations of Gaussian
 * convolution by extended box filtering").
 */
export async function blurByBoxes(
  image: ByteImage,
  radius: number,
  signal?: AbortSignal,
): Promise<ByteImage> {
  if (radius <= 0) return image;
  const variance = (radius * radius) / 3;
  const full = Math.floor((Math.sqrt(12 * variance + 1) - 1) / 2);
  const fraction = ((2 * full + 1) * (full * (full + 1) - 3 * variance)) / (6 * (variance - (full + 1) ** 2));
  const thrice = async (image: ByteImage): Promise<ByteImage> => {
    let result = image;
    for (let pass = 0; pass < 3; pass++) result = await boxAlongX(result, full + fraction, signal);
    return result;
  };
  return transpose(await thrice(transpose(await thrice(image))));
}

async function boxAlongX(
  image: ByteImage,
  radius: number,
  signal: AbortSignal | undefined,
): Promise<ByteImage> {
  const { width, height, channels, data } = image;
  const out = new Uint8Array(data.length);
  const reach = Math.trunc(radius);
  // Weights of the full pixels of the box and of the fractional ones at its ends, in 24-bit fixed point.
  const inner = Math.trunc(2 ** 24 / (radius * 2 + 1));
  const outer = Math.trunc((2 ** 24 - (reach * 2 + 1) * inner) / 2);
  await inSlices(height, width * channels * 8, signal, (y) => {
    for (let c = 0; c < channels; c++) {
      const at = (x: number): number =>
        data[(y * width + Math.min(width - 1, Math.max(0, x))) * channels + c]!;
      let sum = 0;
      for (let x = -reach; x <= reach; x++) sum += at(x);
      for (let x = 0; x < width; x++) {
        const value = sum * inner + (at(x - reach - 1) + at(x + reach + 1)) * outer + 2 ** 23;
        out[(y * width + x) * channels + c] = Math.floor(value / 2 ** 24);
        sum += at(x + reach + 1) - at(x - reach);
      }
    }
  });
  return { ...image, data: out };
}

function transpose(image: ByteImage): ByteImage {
  const { width, height, channels, data } = image;
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++)
        out[(x * height + y) * channels + c] = data[(y * width + x) * channels + c]!;
    }
  }
  return { data: out, width: height, height: width, channels };
}
