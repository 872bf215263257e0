/** Masks by transparency, as OpenAI's API has them, turned into masks by brightness. */
import { SafelightError } from '../errors.js';
import { encodePng } from './png.js';
import { readImage } from './read.js';

/** Alpha up to this value counts as transparent: a mask has no shades. */
const TRANSPARENT = 127;
/** Pixels of a mask; larger ones are refused before they are decoded. */
const MAX_PIXELS = 2 ** 26;

/**
 * A mask that is white where an image is transparent and black elsewhere, as a PNG; undefined where no pixel is transparent.
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

/** The same of a mask that was given as one. @throws INVALID_IMAGE also where it has no transparent pixel */
export async function requiredMask(source: Uint8Array, maxPixels?: number): Promise<Uint8Array> {
  const mask = await maskOfTransparency(source, maxPixels);
  if (mask) return mask;
  throw new SafelightError(
    'INVALID_IMAGE',
    'The mask has no transparent part, so nothing would be edited: give a mask with an alpha channel, in which the part to edit is transparent (black and white say nothing here)',
  );
}
