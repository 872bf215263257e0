/** Encodes images with or without alpha. */

import { SafelightError } from '../errors.js';
import type { ImageFormat } from './encode.js';
import type { ByteImage } from './resample.js';
import { loadSharp } from './sharp.js';

/** Default quality of JPEG and WebP, at which artifacts are hardly visible. */
const QUALITY = 95;

/**
 * Encodes an image of 3 (RGB) or 4 channels (RGBA). JPEG, which has no alpha, gets a white background.
 * @param quality of JPEG and WebP, 1 to 100
 * @throws INVALID_IMAGE for an image that is too large for the format
 */
export async function encodePixels(
  { data, width, height, channels }: ByteImage,
  format: ImageFormat,
  quality = QUALITY,
): Promise<Uint8Array<ArrayBuffer>> {
  const raw = { width, height, channels: channels === 4 ? (4 as const) : (3 as const) };
  const sharp = await loadSharp();
  const image = sharp(data, { raw, limitInputPixels: false });
  const opaque = format === 'jpeg' ? image.flatten({ background: '#ffffff' }) : image;
  const options = format === 'png' ? { compressionLevel: 6 } : { quality };
  try {
    return new Uint8Array(await opaque.toFormat(format, options).toBuffer());
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SafelightError(
      'INVALID_IMAGE',
      `Cannot write ${width} x ${height} pixels as ${format}: ${why}`,
      { cause },
    );
  }
}
