/**
 * Pixel arithmetic of inpainting with Pillow's rounding: masks from images, filling of masked areas from their
 * surroundings, and compositing of the result with the original.
 */
import { blurByBoxes } from './blur.js';
import type { ByteImage } from './resample.js';

/** Returns the luminance of an image (ITU-R 601-2 in Pillow's 16-bit fixed point), or its only channel. */
export function toGray(image: ByteImage): ByteImage {
  const { data, channels, width, height } = image;
  if (channels === 1) return image;
  const out = new Uint8Array(width * height);
  for (let i = 0; i < out.length; i++) {
    const p = i * channels;
    out[i] = (data[p]! * 19595 + data[p + 1]! * 38470 + data[p + 2]! * 7471 + 0x8000) >> 16;
  }
  return { data: out, width, height, channels: 1 };
}

/**
 * Returns a mask from a mask image as A1111 interprets it: with an alpha channel, opaque pixels (alpha above 128) are
 * masked; otherwise the brightness is the mask. White (255) is repainted.
 * @param soft keeps intermediate alpha values instead of a threshold
 */
export function maskOf(image: ByteImage, soft = false): ByteImage {
  const { data, width, height, channels } = image;
  if (channels === 4) {
    const alpha = Uint8Array.from({ length: width * height }, (_, i) => data[i * 4 + 3]!);
    if (alpha.some((a) => a !== 255))
      return { data: soft ? alpha : alpha.map((a) => (a > 128 ? 255 : 0)), width, height, channels: 1 };
  }
  return toGray(image);
}

/** Blends three images of one size: `over` where the mask is 255, `under` where it is 0, a mixture between. */
export function blend(under: ByteImage, over: ByteImage, mask: ByteImage): ByteImage {
  const out = new Uint8Array(under.data.length);
  for (let i = 0; i < out.length; i++) {
    const m = mask.data[Math.floor(i / under.channels)]!;
    out[i] = over255(under.data[i]! * (255 - m) + over.data[i]! * m);
  }
  return { ...under, data: out };
}

export function crop(image: ByteImage, left: number, top: number, width: number, height: number): ByteImage {
  const { channels } = image;
  const out = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * image.width + left) * channels;
    out.set(image.data.subarray(from, from + width * channels), y * width * channels);
  }
  return { data: out, width, height, channels };
}

/** Returns a copy of `image` with `part` pasted at (left, top), clipped to the image. */
export function paste(image: ByteImage, part: ByteImage, left: number, top: number): ByteImage {
  const { channels } = image;
  const out = image.data.slice();
  const from = Math.max(0, -left);
  const to = Math.min(part.width, image.width - left);
  for (let y = Math.max(0, -top); y < Math.min(part.height, image.height - top); y++) {
    if (to <= from) break;
    const row = part.data.subarray((y * part.width + from) * channels, (y * part.width + to) * channels);
    out.set(row, ((top + y) * image.width + left + from) * channels);
  }
  return { ...image, data: out };
}

/**
 * Fills the masked area like A1111's `fill`: the surroundings are blurred from wide to narrow, and the blurs are
 * composited.
 * @param mask 255 where the image is to be replaced
 * @throws ABORTED
 */
export async function fillMasked(
  image: ByteImage,
  mask: ByteImage,
  signal?: AbortSignal,
): Promise<ByteImage> {
  const count = image.width * image.height;
  // The surroundings, premultiplied by the unmasked fraction: [R·a, G·a, B·a, a].
  const unmasked = new Uint8Array(count * 4);
  for (let i = 0; i < count; i++) {
    const alpha = 255 - mask.data[i]!;
    for (let c = 0; c < 3; c++) unmasked[i * 4 + c] = over255(image.data[i * 3 + c]! * alpha);
    unmasked[i * 4 + 3] = alpha;
  }
  const surroundings = { ...image, data: unmasked, channels: 4 };
  const canvas = new Uint8Array(count * 4);
  const layers = [
    [256, 1],
    [64, 1],
    [16, 2],
    [4, 4],
    [2, 2],
    [0, 1],
  ] as const;
  for (const [radius, repeats] of layers) {
    const layer = straightAlpha((await blurByBoxes(surroundings, radius, signal)).data);
    for (let i = 0; i < repeats; i++) compositeOver(canvas, layer);
  }
  return {
    ...image,
    data: Uint8Array.from({ length: count * 3 }, (_, i) => canvas[Math.floor(i / 3) * 4 + (i % 3)]!),
  };
}

/** Divides the colors by their alpha. */
function straightAlpha(premultiplied: Uint8Array): Uint8Array {
  const out = premultiplied.slice();
  for (let i = 0; i < out.length; i += 4) {
    const alpha = out[i + 3]!;
    if (alpha === 0 || alpha === 255) continue;
    for (let c = 0; c < 3; c++) out[i + c] = Math.min(255, Math.floor((255 * out[i + c]!) / alpha));
  }
  return out;
}

/** Porter and Duff's "over" for straight alpha, in place, in Pillow's fixed point (src/libImaging/AlphaComposite.c). */
function compositeOver(under: Uint8Array, over: Uint8Array): void {
  for (let i = 0; i < under.length; i += 4) {
    const alpha = over[i + 3]!;
    if (alpha === 0) continue;
    const total = alpha * 255 + under[i + 3]! * (255 - alpha);
    const share = Math.floor((alpha * 255 * 255 * 128) / total);
    for (let c = 0; c < 3; c++) {
      const sum = over[i + c]! * share + under[i + c]! * (255 * 128 - share) + 0x80 * 128;
      under[i + c] = (((sum >> 8) + sum) >> 8) >> 7;
    }
    under[i + 3] = over255(total);
  }
}

/** Divides by 255 with rounding, in integers. */
function over255(x: number): number {
  const t = x + 128;
  return ((t >> 8) + t) >> 8;
}
