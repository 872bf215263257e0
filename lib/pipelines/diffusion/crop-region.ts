/**
 * Crop region of "only masked" inpainting: the bounding box of the mask, expanded to the aspect ratio of the
 * generation.
 */
import type { ByteImage } from '../../image/resample.js';

export interface Region {
  readonly left: number;
  readonly top: number;
  /** `right` and `bottom` are exclusive. */
  readonly right: number;
  readonly bottom: number;
}

/**
 * Returns the bounding box of a mask's nonzero pixels with padding, clamped to the image; undefined for a black mask.
 */
export function maskRegion(mask: ByteImage, padding: number): Region | undefined {
  const { data, width, height } = mask;
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let i = 0; i < data.length; i++) {
    if (data[i] === 0) continue;
    const [x, y] = [i % width, Math.floor(i / width)];
    left = Math.min(left, x);
    right = Math.max(right, x + 1);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y + 1);
  }
  if (right === 0) return undefined;
  return {
    left: Math.max(0, left - padding),
    top: Math.max(0, top - padding),
    right: Math.min(width, right + padding),
    bottom: Math.min(height, bottom + padding),
  };
}

/** Expands the region in one direction to the aspect ratio `ratio` (width / height), as far as the image allows. */
export function expandRegion(
  region: Region,
  ratio: number,
  image: { readonly width: number; readonly height: number },
): Region {
  const { left, top, right, bottom } = region;
  if ((right - left) / (bottom - top) > ratio) {
    const [from, to] = grow(top, bottom, (right - left) / ratio, image.height);
    return { ...region, top: from, bottom: to };
  }
  const [from, to] = grow(left, right, (bottom - top) * ratio, image.width);
  return { ...region, left: from, right: to };
}

/** Grows [from, to) evenly on both sides to `length`, shifted to stay within [0, limit). */
function grow(from: number, to: number, length: number, limit: number): [number, number] {
  const more = Math.trunc(length - (to - from));
  let start = from - Math.floor(more / 2);
  let end = to + more - Math.floor(more / 2);
  if (end >= limit) [start, end] = [start - (end - limit), limit];
  if (start < 0) [start, end] = [0, end - start];
  return [start, Math.min(end, limit)];
}
