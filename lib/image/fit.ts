/** How a picture becomes one of another shape: A1111's resize modes, in Pillow's arithmetic. */
import { paste } from './composite.js';
import { type ByteImage, edgeStrip, resample } from './resample.js';
import type { ResizeMode } from './resize-mode.js';
import { inSlices } from './slices.js';

/** @throws ABORTED */
export async function fitTo(
  image: ByteImage,
  width: number,
  height: number,
  mode: ResizeMode,
  signal?: AbortSignal,
): Promise<ByteImage> {
  if (mode === 'resize' || mode === 'latent') return resample(image, width, height, 'lanczos', signal);
  const [wanted, given] = [width / height, image.width / image.height];
  // The side that decides is the shorter one for `crop`, the longer one for `fill`.
  const followsWidth = mode === 'crop' ? wanted > given : wanted < given;
  const followsHeight = mode === 'crop' ? wanted <= given : wanted >= given;
  const scaled = (side: number, by: number, of: number): number => Math.max(1, Math.floor((side * by) / of));
  const w = followsWidth ? width : scaled(image.width, height, image.height);
  const h = followsHeight ? height : scaled(image.height, width, image.width);
  const resized = await resample(image, w, h, 'lanczos', signal);
  const [left, top] = [middle(width, w), middle(height, h)];
  const { channels } = image;
  let canvas: ByteImage = { data: new Uint8Array(width * height * channels), width, height, channels };
  canvas = paste(canvas, resized, left, top);
  if (mode === 'crop') return canvas;
  if (wanted < given && top > 0) {
    canvas = paste(canvas, edgeStrip(resized, 'top', top), 0, 0);
    canvas = paste(canvas, edgeStrip(resized, 'bottom', top), 0, top + h);
  } else if (wanted > given && left > 0) {
    canvas = paste(canvas, edgeStrip(resized, 'left', left), 0, 0);
    canvas = paste(canvas, edgeStrip(resized, 'right', left), left + w, 0);
  }
  return canvas;
}

function middle(outer: number, inner: number): number {
  return Math.floor(outer / 2) - Math.floor(inner / 2);
}

/** Each pixel the nearest one, as Pillow's NEAREST. @throws ABORTED */
export async function nearest(
  image: ByteImage,
  width: number,
  height: number,
  signal?: AbortSignal,
): Promise<ByteImage> {
  const { data, channels } = image;
  const [columns, rows] = [places(image.width, width), places(image.height, height)];
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

/** Places are summed up step by step, as Pillow does, whose roundings decide where a place lies between two pixels. */
function places(from: number, to: number): number[] {
  const step = from / to;
  let at = step * 0.5;
  return Array.from({ length: to }, () => {
    const place = Math.min(from - 1, Math.floor(at));
    at += step;
    return place;
  });
}
