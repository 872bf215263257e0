/** Resizes images to another aspect ratio with A1111's resize modes, in Pillow's arithmetic. */
import { paste } from './composite.js';
import { type ByteImage, edgeStrip, resample } from './resample.js';
import type { ResizeMode } from './resize-mode.js';
import { inSlices } from './slices.js';

/** Resizes an image to `width` x `height`. @throws ABORTED */
export async function fitTo(
  image: ByteImage,
  width: number,
  height: number,
  mode: ResizeMode,
  signal?: AbortSignal,
): Promise<ByteImage> {
  if (mode === 'resize' || mode === 'latent') return resample(image, width, height, 'lanczos', signal);
  const [targetRatio, ratio] = [width / height, image.width / image.height];
  // The shorter side determines the scale for `crop`, the longer one for `fill`.
  const followsWidth = mode === 'crop' ? targetRatio > ratio : targetRatio < ratio;
  const followsHeight = mode === 'crop' ? targetRatio <= ratio : targetRatio >= ratio;
  const scaled = (side: number, by: number, of: number): number => Math.max(1, Math.floor((side * by) / of));
  const w = followsWidth ? width : scaled(image.width, height, image.height);
  const h = followsHeight ? height : scaled(image.height, width, image.width);
  const resized = await resample(image, w, h, 'lanczos', signal);
  const [left, top] = [middle(width, w), middle(height, h)];
  const { channels } = image;
  let canvas: ByteImage = { data: new Uint8Array(width * height * channels), width, height, channels };
  canvas = paste(canvas, resized, left, top);
  if (mode === 'crop') return canvas;
  if (targetRatio < ratio && top > 0) {
    canvas = paste(canvas, edgeStrip(resized, 'top', top), 0, 0);
    canvas = paste(canvas, edgeStrip(resized, 'bottom', top), 0, top + h);
  } else if (targetRatio > ratio && left > 0) {
    canvas = paste(canvas, edgeStrip(resized, 'left', left), 0, 0);
    canvas = paste(canvas, edgeStrip(resized, 'right', left), left + w, 0);
  }
  return canvas;
}

function middle(outer: number, inner: number): number {
  return Math.floor(outer / 2) - Math.floor(inner / 2);
}

/** Resizes with nearest-neighbor sampling like Pillow's NEAREST. @throws ABORTED */
export async function nearest(
  image: ByteImage,
  width: number,
  height: number,
  signal?: AbortSignal,
): Promise<ByteImage> {
  const { data, channels } = image;
  const [columns, rows] = [sourceIndices(image.width, width), sourceIndices(image.height, height)];
  const out = new Uint8Array(width * height * channels);
  await inSlices(height, width * channels, signal, (y) => {
    let at = y * width * channels;
    for (const column of columns) {
      const from = (rows[y]! * image.width + column) * channels;
      for (let c = 0; c < channels; c++) out[at++] = data[from + c]!;
    }
  });
  return { data: out, width, height, channels };
}

/** Positions are accumulated step by step as in Pillow, whose rounding errors decide between adjacent pixels. */
function sourceIndices(from: number, to: number): number[] {
  const step = from / to;
  let at = step * 0.5;
  return Array.from({ length: to }, () => {
    const index = Math.min(from - 1, Math.floor(at));
    at += step;
    return index;
  });
}
