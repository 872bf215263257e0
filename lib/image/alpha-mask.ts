/** Converts masks of OpenAI's API, which mark the area to edit by transparency, into masks by brightness. */
import { SafelightError } from '../errors.js';
import { encodePng } from './png.js';
import { readImage } from './read.js';

/** Alpha values up to this are transparent; the resulting mask is binary. */
const TRANSPARENT = 127;
/** Maximum number of pixels, checked before decoding. */
const MAX_PIXELS = 2 ** 26;

/**
 * Returns a PNG mask that is white where an image is transparent and black elsewhere; undefined if no pixel is
 * transparent.
 * @throws INVALID_IMAGE
 */
export async function maskOfTransparency(
  source: Uint8Array,
  maxPixels = MAX_PIXELS,
): Promise<Uint8Array | undefined> {
  const { data, width, height } = await readImage(source, { alpha: 'keep', maxPixels });
  const mask = new Uint8Array(width * height * 3);
  let any = false;
  for (let i = 0; i < width * height; i++) {
    if (data[i * 4 + 3]! > TRANSPARENT) continue;
    any = true;
    mask.fill(255, i * 3, i * 3 + 3);
  }
  return any ? encodePng({ data: mask, width, height }) : undefined;
}

/** Converts an explicit mask. @throws INVALID_IMAGE, also if it has no transparent pixel */
export async function requiredMask(source: Uint8Array, maxPixels?: number): Promise<Uint8Array> {
  const mask = await maskOfTransparency(source, maxPixels);
  if (mask) return mask;
  throw new SafelightError(
    'INVALID_IMAGE',
    'The mask has no transparent pixel, so nothing would be edited: pass a mask with an alpha channel in which the area to edit is transparent (black and white are ignored)',
  );
}
