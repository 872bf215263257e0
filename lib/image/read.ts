/** Reads untrusted images from files or bytes, decoded by sharp (libvips) within limits. */
import { stat } from 'node:fs/promises';
import { types } from 'node:util';
import { invalidOption, SafelightError } from '../errors.js';
import { knownKeys } from '../known-keys.js';
import type { ByteImage } from './resample.js';
import { loadSharp } from './sharp.js';
import { type ImageSource, openSource, type RawImage } from './source.js';

export type { ImageSource, RawImage } from './source.js';

export interface ReadOptions {
  /** `white` composites transparency on white and returns RGB (default), `keep` returns RGBA. */
  readonly alpha?: 'white' | 'keep';
  /** Maximum number of pixels in the header, checked before decoding; default 2^26 (8192 x 8192). */
  readonly maxPixels?: number;
}

const MAX_PIXELS = 2 ** 26;
/** Excludes SVG and PDF, which are programs, and formats that libvips may pass to ImageMagick. */
const FORMATS = new Set(['png', 'jpeg', 'webp', 'gif', 'tiff', 'heif', 'avif']);

/**
 * Decodes the first frame, rotated by its EXIF orientation, to 8-bit sRGB.
 * @throws FILE_NOT_FOUND, INVALID_IMAGE (not an image, truncated, too many pixels), INVALID_OPTION
 */
export async function readImage(source: ImageSource, options: ReadOptions = {}): Promise<ByteImage> {
  const { alpha, maxPixels } = checkOptions(options);
  const opened = await openSource(source);
  if (opened.kind === 'pixels') return fromPixels(opened.pixels, alpha);
  const label = opened.kind === 'bytes' ? 'the image' : `'${opened.path}'`;
  if (opened.kind === 'file') await checkFile(opened.path);
  const input = opened.kind === 'file' ? opened.path : unshared(opened.bytes);
  if (input.length === 0)
    throw new SafelightError('INVALID_IMAGE', 'Cannot decode the image: it has no bytes');
  try {
    const sharp = await loadSharp();
    const image = sharp(input, { limitInputPixels: maxPixels, failOn: 'truncated', sequentialRead: true });
    const { format, width, height } = await image.metadata();
    if (!format || !FORMATS.has(format)) throw new Error(`its format ${format} is not supported`);
    if (!(width * height <= maxPixels)) {
      throw new Error(`its ${width} x ${height} pixels exceed the limit of ${maxPixels}`);
    }
    const upright = image.autoOrient().toColourspace('srgb');
    const flat = alpha === 'keep' ? upright.ensureAlpha() : upright.flatten({ background: '#ffffff' });
    const { data, info } = await flat.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
    return { data: ownBytes(data), width: info.width, height: info.height, channels: info.channels };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const hint =
      source instanceof Uint8ClampedArray ? '; pass pixels of a canvas as { data, width, height }' : '';
    throw new SafelightError('INVALID_IMAGE', `Cannot decode ${label}: ${why}${hint}`, { cause: error });
  }
}

function checkOptions(options: ReadOptions): Required<ReadOptions> {
  knownKeys('options', options, new Set(['alpha', 'maxPixels']));
  const { alpha = 'white', maxPixels = MAX_PIXELS } = options;
  if (alpha !== 'white' && alpha !== 'keep') throw invalidOption('alpha', "'white' or 'keep'", alpha);
  if (!Number.isSafeInteger(maxPixels) || maxPixels < 1)
    throw invalidOption('maxPixels', 'an integer of at least 1', maxPixels);
  return { alpha, maxPixels };
}

/** Copies memory that is shared between threads, which sharp does not accept. */
function unshared(bytes: Uint8Array): Uint8Array {
  return types.isSharedArrayBuffer(bytes.buffer) ? new Uint8Array(bytes) : bytes;
}

/** Returns a Uint8Array over the same memory; unlike a Buffer's, its slice() copies. */
function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  return buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);
}

function fromPixels(source: RawImage, alpha: 'white' | 'keep'): ByteImage {
  const { data, width, height } = source;
  const channels = source.channels ?? data.length / (width * height);
  const target = alpha === 'keep' ? 4 : 3;
  if (channels === target) return { data: new Uint8Array(data), width, height, channels };
  const out = new Uint8Array(width * height * target).fill(255);
  for (let i = 0; i < width * height; i++) {
    const a = channels === 4 && alpha === 'white' ? data[i * 4 + 3]! : 255;
    for (let c = 0; c < Math.min(target, 3); c++) {
      const value = data[i * channels + (channels === 1 ? 0 : c)]!;
      out[i * target + c] = Math.round((value * a + 255 * (255 - a)) / 255);
    }
    if (target === 4 && channels === 4) out[i * 4 + 3] = data[i * 4 + 3]!;
  }
  return { data: out, width, height, channels: target };
}

async function checkFile(path: string): Promise<void> {
  const info = await stat(path).catch((cause: unknown) => {
    const hint = /^[A-Za-z0-9+/_=\s-]{100,}$/.test(path)
      ? '; pass base64 as a data URI (data:image/png;base64,...)'
      : '';
    const shown = path.length > 300 ? `${path.slice(0, 60)}...` : path;
    throw new SafelightError('FILE_NOT_FOUND', `There is no image at '${shown}'${hint}`, { cause });
  });
  if (!info.isFile()) throw new SafelightError('FILE_NOT_FOUND', `'${path}' is not a file`);
}
