/** Texts in image files. */
import type { Metadata } from 'sharp';
import { SafelightError } from '../errors.js';
import { userComment } from './exif.js';
import { readPngText } from './png.js';
import { loadSharp } from './sharp.js';

const MAX_PIXELS = 2 ** 26;

/**
 * Reads the texts in an image file: PNG text chunks, or the EXIF user comment of other formats as `parameters`.
 * @param label name of the image in errors
 * @throws INVALID_IMAGE
 */
export async function readTexts(label: string, bytes: Uint8Array): Promise<Record<string, string>> {
  const { format, exif } = await headerOf(label, bytes);
  if (format === 'png') return readPngText(bytes);
  const comment = exif && userComment(exif);
  return comment ? { parameters: comment } : {};
}

/** Reads the header. sharp rejects some invalid bytes synchronously, others while reading. */
async function headerOf(label: string, bytes: Uint8Array): Promise<Metadata> {
  try {
    const sharp = await loadSharp();
    return await sharp(bytes, { limitInputPixels: MAX_PIXELS }).metadata();
  } catch (error) {
    const message = `Invalid encoded image: ${label} must be an image in base64`;
    throw new SafelightError('INVALID_IMAGE', message, { cause: error });
  }
}
