/** Pictures in: files or bytes that nobody vouches for, decoded by sharp (libvips) within limits. */
import { stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { invalidOption, SafelightError } from '../errors.js';
import type { ByteImage } from './resample.js';

/** A path, an encoded picture's bytes (PNG, JPEG, WebP, AVIF, GIF, TIFF), or pixels: 3 (RGB) or 4 (RGBA) bytes each, row by row. */
export type ImageSource =
  | string
  | URL
  | Uint8Array
  | {
      readonly data: Uint8Array;
      readonly width: number;
      readonly height: number;
      readonly channels?: 1 | 3 | 4;
    };

export interface ReadOptions {
  /** `white` lays transparency on white and gives RGB (default), `keep` gives RGBA. */
  readonly alpha?: 'white' | 'keep';
  /** Pixels that the header may promise before anything is decoded; default 2^26 (8192 x 8192). */
  readonly maxPixels?: number;
}

const MAX_PIXELS = 2 ** 26;
/** SVG and PDF are programs, and libvips can hand unknown formats to ImageMagick. */
const FORMATS = new Set(['png', 'jpeg', 'webp', 'gif', 'tiff', 'heif', 'avif']);

/**
 * Decodes the first frame, turned as its EXIF orientation says, in 8-bit sRGB.
 * @throws FILE_NOT_FOUND, INVALID_IMAGE (not a picture, truncated, too many pixels), INVALID_OPTION
 */
export async function readImage(source: ImageSource, options: ReadOptions = {}): Promise<ByteImage> {
  const { alpha = 'white', maxPixels = MAX_PIXELS } = options;
  if (isPixels(source)) return fromPixels(source, alpha);
  const label = source instanceof Uint8Array ? 'the image' : `'${pathOf(source)}'`;
  const input = source instanceof Uint8Array ? source : pathOf(source);
  if (typeof input === 'string') await checkFile(input);
  if (input.length === 0)
    throw new SafelightError('INVALID_IMAGE', 'Cannot decode the image: it has no bytes');
  try {
    const image = sharp(input, { limitInputPixels: maxPixels, failOn: 'truncated', sequentialRead: true });
    const { format, width, height } = await image.metadata();
    if (!format || !FORMATS.has(format)) throw new Error(`its format ${format} is not read`);
    if (!(width * height <= maxPixels)) {
      throw new Error(`its ${width} x ${height} pixels are more than the ${maxPixels} allowed`);
    }
    const upright = image.autoOrient().toColourspace('srgb');
    const flat = alpha === 'keep' ? upright.ensureAlpha() : upright.flatten({ background: '#ffffff' });
    const { data, info } = await flat.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
    // A plain array: a Buffer's slice() would share its memory.
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return { data: bytes, width: info.width, height: info.height, channels: info.channels };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SafelightError('INVALID_IMAGE', `Cannot decode ${label}: ${why}`, { cause: error });
  }
}

function isPixels(source: ImageSource): source is Exclude<ImageSource, string | URL | Uint8Array> {
  if (typeof source === 'string' || source instanceof Uint8Array || source instanceof URL) return false;
  if (typeof source !== 'object' || source === null || !('data' in source)) {
    throw invalidOption('image', 'a path, the bytes of a picture or { data, width, height }', source);
  }
  return true;
}

function fromPixels(
  source: Exclude<ImageSource, string | URL | Uint8Array>,
  alpha: 'white' | 'keep',
): ByteImage {
  const { data, width, height } = source;
  for (const [name, size] of Object.entries({ width, height })) {
    if (!Number.isSafeInteger(size) || size < 1)
      throw invalidOption(`image.${name}`, 'integer of at least 1', size);
  }
  const channels = source.channels ?? data.length / (width * height);
  const known = channels === 1 || channels === 3 || channels === 4;
  if (!(data instanceof Uint8Array) || !known || data.length !== width * height * channels) {
    throw invalidOption(
      'image.data',
      `1, 3 or 4 bytes for each of ${width} x ${height} pixels`,
      data?.length,
    );
  }
  const wanted = alpha === 'keep' ? 4 : 3;
  if (channels === wanted) return { data: new Uint8Array(data), width, height, channels };
  const out = new Uint8Array(width * height * wanted).fill(255);
  for (let i = 0; i < width * height; i++) {
    const a = channels === 4 && alpha === 'white' ? data[i * 4 + 3]! : 255;
    for (let c = 0; c < Math.min(wanted, 3); c++) {
      const value = data[i * channels + (channels === 1 ? 0 : c)]!;
      out[i * wanted + c] = Math.round((value * a + 255 * (255 - a)) / 255);
    }
    if (wanted === 4 && channels === 4) out[i * 4 + 3] = data[i * 4 + 3]!;
  }
  return { data: out, width, height, channels: wanted };
}

function pathOf(source: string | URL): string {
  if (typeof source === 'string') return source;
  if (source.protocol !== 'file:') throw invalidOption('image', "a 'file:' URL", source.protocol);
  return fileURLToPath(source);
}

async function checkFile(path: string): Promise<void> {
  const info = await stat(path).catch((error: unknown) => {
    throw new SafelightError('FILE_NOT_FOUND', `There is no picture at '${path}'`, { cause: error });
  });
  if (!info.isFile()) throw new SafelightError('FILE_NOT_FOUND', `'${path}' is not a file`);
}
