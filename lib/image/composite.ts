/**
 * Pixel arithmetic of inpainting in bytes, as Pillow rounds it: masks from pictures, holes filled from their surroundings,
 * and the original returned where nothing was to change.
 */
import { blurByBoxes } from './blur.js';
import type { ByteImage } from './resample.js';

/** Luminance of a picture (ITU-R 601-2 in Pillow's 16-bit fixed point), or its one channel. */
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
 * What a mask file means, as A1111 reads it: where a picture has transparency, opaque (alpha above 128) is to be repainted;
 * otherwise its brightness counts. White (255) is repainted.
 * @param soft keeps transparency between, instead of all or nothing
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

/** `over` where the mask is 255, `under` where it is 0, their mixture between. All three of one size. */
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

/** A copy of `image` with `part` laid on it, its corner at (left, top); what reaches beyond is cut off. */
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
 * A1111's `fill`: the masked part takes colours of its surroundings, spread by blurs from wide to narrow laid over each
 * other. `mask` is 255 where the picture is to be replaced. @throws ABORTED
 */
export async function fillMasked(
  image: ByteImage,
  mask: ByteImage,
  signal?: AbortSignal,
): Promise<ByteImage> {
  const count = image.width * image.height;
  // The surroundings, premultiplied by how much of them stays: [R·a, G·a, B·a, a].
  const kept = new Uint8Array(count * 4);
  for (let i = 0; i < count; i++) {
    const alpha = 255 - mask.data[i]!;
    for (let c = 0; c < 3; c++) kept[i * 4 + c] = over255(image.data[i * 3 + c]! * alpha);
    kept[i * 4 + 3] = alpha;
  }
  const surroundings = { ...image, data: kept, channels: 4 };
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

/** Colours divided by their alpha again. */
function straightAlpha(premultiplied: Uint8Array): Uint8Array {
  const out = premultiplied.slice();
  for (let i = 0; i < out.length; i += 4) {
    const alpha = out[i + 3]!;
    if (alpha === 0 || alpha === 255) continue;
    for (let c = 0; c < 3; c++) out[i + c] = Math.min(255, Math.floor((255 * out[i + c]!) / alpha));
  }
  return out;
}

/** Porter and Duff's "over" on straight alpha, in place, in Pillow's fixed point (src/libImaging/AlphaComposite.c). */
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

/** Divided by 255 and rounded, in integers. */
function over255(x: number): number {
  const t = x + 128;
  return ((t >> 8) + t) >> 8;
}
