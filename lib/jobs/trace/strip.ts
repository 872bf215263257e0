/** Stacks the small images of a run vertically in one PNG file. */
import { loadSharp } from '../../image/sharp.js';
import type { RgbImage } from '../../tensor/render.js';

/** Position of an image in its strip, in pixels, aligned to the left edge. */
export interface Place {
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Maximum height of a strip in pixels; some PNG decoders and canvases support no more. */
const MAX_HEIGHT = 16_384;

export class Strip {
  private readonly parts: { readonly data: Uint8Array; readonly place: Place }[] = [];
  private height = 0;
  private width = 0;

  /** @param channels bytes per pixel: 1 for grayscale, 3 for RGB */
  constructor(private readonly channels: 1 | 3) {}

  get empty(): boolean {
    return this.parts.length === 0;
  }

  /** @returns the position of the image; undefined if the strip is full */
  add({ data, width, height }: RgbImage): Place | undefined {
    if (this.height + height > MAX_HEIGHT) return undefined;
    const place = { top: this.height, width, height };
    this.parts.push({ data, place });
    this.height += height;
    this.width = Math.max(this.width, width);
    return place;
  }

  async png(): Promise<{ readonly data: Uint8Array; readonly width: number; readonly height: number }> {
    const { channels, width, height } = this;
    const all = new Uint8Array(width * height * channels);
    for (const { data, place } of this.parts) {
      for (let y = 0; y < place.height; y++) {
        const row = data.subarray(y * place.width * channels, (y + 1) * place.width * channels);
        all.set(row, (place.top + y) * width * channels);
      }
    }
    const sharp = await loadSharp();
    const png = sharp(all, { raw: { width, height, channels } }).png({ compressionLevel: 6 });
    return { data: await png.toBuffer(), width, height };
  }
}

/**
 * Renders the channels of `[C, h, w]` side by side in grayscale. The gray range of each is its mean ± 2.5 standard
 * deviations.
 */
export function grayChannels(
  channels: readonly ArrayLike<number>[],
  width: number,
  height: number,
): RgbImage {
  const all = width * channels.length;
  const data = new Uint8Array(all * height);
  channels.forEach((values, c) => {
    const { low, high } = rangeOf(values);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const share = high > low ? (values[y * width + x]! - low) / (high - low) : 0.5;
        data[y * all + c * width + x] = Math.round(255 * Math.min(1, Math.max(0, share || 0)));
      }
    }
  });
  return { data, width: all, height };
}

function rangeOf(values: ArrayLike<number>): { low: number; high: number } {
  let [sum, squares] = [0, 0];
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  const mean = sum / values.length;
  for (let i = 0; i < values.length; i++) squares += (values[i]! - mean) ** 2;
  const spread = 2.5 * Math.sqrt(squares / values.length);
  return { low: mean - spread, high: mean + spread };
}

/** Shrinks an image whose longer side exceeds `side`. */
export async function shrunk({ data, width, height }: RgbImage, side: number): Promise<RgbImage> {
  if (Math.max(width, height) <= side) return { data, width, height };
  const sharp = await loadSharp();
  const small = await sharp(data, { raw: { width, height, channels: 3 } })
    .resize({ width: side, height: side, fit: 'inside' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { data: new Uint8Array(small.data), width: small.info.width, height: small.info.height };
}
