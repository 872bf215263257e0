/**
 * Fast previews of latents. A tiny autoencoder decodes them if there is one. Otherwise a downscaled copy of the latent is
 * decoded, and a linear map from latent channels to
 * colours is fitted to the result by least squares and applied to each pixel of the latent. The map is fitted for
 * each preview, so it works with any autoencoder, even if colours are not a linear function of all latents.
 */

import { resample } from '../../image/resample.js';
import { interpolate } from '../../tensor/interpolate.js';
import type { RgbImage } from '../../tensor/render.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { LatentCodec } from './latent-codec.js';

/** Approximate side of the downscaled latent for the fit, which is at most half of the latent's. */
const SIDE = 16;
/** Regularization, so that the fit is defined if channels are constant or linearly dependent. */
const RIDGE = 1e-2;

/**
 * Largest area of a latent that a tiny autoencoder decodes, 512 x 512 pixels of Stable Diffusion. Larger latents are
 * downscaled, so that the time of a preview does not grow with the image.
 */
const TINY_AREA = 64 * 64;

export class LatentPreview {
  /**
   * @param codec returns the model's codec
   * @param tiny returns the codec of the tiny autoencoder for previews; undefined if the model has none
   */
  constructor(
    private readonly codec: () => Promise<LatentCodec>,
    private readonly tiny: () => Promise<LatentCodec> | undefined = () => undefined,
  ) {}

  /** Renders an approximate image of a latent `[C, h, w]` at the given size. @throws DISPOSED, OUT_OF_MEMORY */
  async render(latent: Tensor, width: number, height: number): Promise<RgbImage> {
    const tiny = await this.tiny();
    const image = tiny ? await decoded(tiny, latent) : await this.approximate(latent);
    if (image.width === width && image.height === height) return image;
    return resample({ ...image, channels: 3 }, width, height, 'bicubic');
  }

  /** Returns an image of the latent's size. */
  private async approximate(latent: Tensor): Promise<RgbImage> {
    const [channels = 0, h = 0, w = 0] = latent.shape;
    const shrink = Math.max(2, Math.sqrt(h * w) / SIDE);
    const [rows, columns] = [h, w].map((side) => Math.max(1, Math.round(side / shrink))) as [number, number];
    const small = interpolate(latent, rows, columns, 'bicubic-antialiased');
    const codec = await this.codec();
    const target = await codec.decode(small.reshape([1, channels, rows, columns]));
    const features = pixelsOf(small);
    const maps = [0, 1, 2].map((c) => leastSquares(features, meansOf(target, c, rows, columns)));

    const data = new Uint8Array(h * w * 3);
    pixelsOf(latent).forEach((pixel, i) => {
      maps.forEach((map, c) => {
        const value = map.reduce((sum, weight, k) => sum + weight * pixel[k]!, 0);
        data[i * 3 + c] = byteOf(value);
      });
    });
    return { data, width: w, height: h };
  }
}

/** Decodes a latent `[C, h, w]`, downscaled if it is large. */
async function decoded(codec: LatentCodec, latent: Tensor): Promise<RgbImage> {
  const [channels = 0, h = 0, w = 0] = latent.shape;
  const shrink = Math.max(1, Math.sqrt((h * w) / TINY_AREA));
  const [rows, columns] = [h, w].map((side) => Math.max(1, Math.round(side / shrink))) as [number, number];
  const small = shrink > 1 ? interpolate(latent, rows, columns, 'bicubic-antialiased') : latent;
  const pixels = await codec.decode(small.reshape([1, channels, rows, columns]));
  const [, , height = 0, width = 0] = pixels.shape;
  const plane = width * height;
  const data = new Uint8Array(3 * plane);
  for (let i = 0; i < plane; i++)
    for (let c = 0; c < 3; c++) data[3 * i + c] = byteOf(pixels.data[c * plane + i]!);
  return { data, width, height };
}

/** Converts a value in -1..1 to a byte. */
function byteOf(value: number): number {
  return Math.round(255 * Math.min(1, Math.max(0, value / 2 + 0.5)));
}

/** Returns the channels of each pixel of `[C, h, w]`, followed by a 1 for the constant term. */
function pixelsOf(latent: Tensor): number[][] {
  const [channels = 0, h = 0, w = 0] = latent.shape;
  return Array.from({ length: h * w }, (_, i) => {
    const pixel = Array.from({ length: channels }, (_c, k) => latent.data[k * h * w + i]!);
    return [...pixel, 1];
  });
}

/** Returns the means of a colour of `[1, 3, H, W]`, clamped to -1..1, over `rows` x `columns` squares. */
function meansOf(decoded: Tensor, colour: number, rows: number, columns: number): number[] {
  const [, , height = 0, width = 0] = decoded.shape;
  const factor = height / rows;
  const means = new Array<number>(rows * columns).fill(0);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = Math.min(1, Math.max(-1, decoded.data[(colour * height + y) * width + x]!));
      means[Math.floor(y / factor) * columns + Math.floor(x / factor)]! += value / (factor * factor);
    }
  }
  return means;
}

/**
 * Returns the weights w that minimize |rows * w - targets|, by Gaussian elimination of the regularized normal
 * equations with pivoting.
 */
export function leastSquares(rows: readonly (readonly number[])[], targets: readonly number[]): number[] {
  const n = rows[0]!.length;
  const system = Array.from({ length: n }, (_, i) =>
    Array.from({ length: n + 1 }, (_c, j) =>
      rows.reduce((sum, row, r) => sum + row[i]! * (j === n ? targets[r]! : row[j]!), i === j ? RIDGE : 0),
    ),
  );
  for (let i = 0; i < n; i++) {
    let pivot = i;
    for (let r = i + 1; r < n; r++) if (Math.abs(system[r]![i]!) > Math.abs(system[pivot]![i]!)) pivot = r;
    [system[i], system[pivot]] = [system[pivot]!, system[i]!];
    for (let r = 0; r < n; r++) {
      if (r === i) continue;
      const factor = system[r]![i]! / system[i]![i]!;
      for (let j = i; j <= n; j++) system[r]![j]! -= factor * system[i]![j]!;
    }
  }
  return system.map((row, i) => row[n]! / row[i]!);
}
