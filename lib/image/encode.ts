/** Encodes images in the format of a path's extension. */
import { extname } from 'node:path';
import { invalidOption } from '../errors.js';
import type { RgbImage } from '../tensor/render.js';
import { encodePng } from './png.js';
import { loadSharp } from './sharp.js';

export type ImageFormat = 'png' | 'jpeg' | 'webp';

const FORMATS: Readonly<Record<string, ImageFormat>> = {
  '': 'png',
  '.png': 'png',
  '.jpg': 'jpeg',
  '.jpeg': 'jpeg',
  '.webp': 'webp',
};
/** Default quality of JPEG and WebP, at which artifacts are hardly visible. */
const QUALITY = 95;

/**
 * Returns the format of a path's extension in any case; PNG without one.
 * @throws INVALID_OPTION (named `option`) for others
 */
export function imageFormatOf(path: string, option = 'path'): ImageFormat {
  const format = FORMATS[extname(path).toLowerCase()];
  if (format === undefined)
    throw invalidOption(option, 'a name with the extension .png, .jpg, .jpeg or .webp', path);
  return format;
}

export interface EncodeOptions {
  /** Quality of JPEG and WebP, 1 to 100; default 95. */
  readonly quality?: number | undefined;
  /** Text chunks of a PNG; the other formats do not contain them. */
  readonly text?: Readonly<Record<string, string>> | undefined;
}

export async function encodeImage(
  image: RgbImage,
  format: ImageFormat,
  { quality = QUALITY, text = {} }: EncodeOptions = {},
): Promise<Uint8Array> {
  if (format === 'png') return encodePng(image, text);
  const raw = { width: image.width, height: image.height, channels: 3 as const };
  const sharp = await loadSharp();
  return sharp(image.data, { raw }).toFormat(format, { quality }).toBuffer();
}
