/**
 * Converts an image argument (path, URL, bytes or pixels) into bytes or pixels. Errors name the type of any other
 * argument.
 */

import { fileURLToPath } from 'node:url';
import { types } from 'node:util';
import { invalidOption, SafelightError } from '../errors.js';
import { parseDataUri } from './data-uri.js';

/** Pixels in rows from the top left, with 1 (gray), 3 (RGB) or 4 (RGBA) bytes each. A canvas' `ImageData` is one. */
export interface RawImage {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  /** Default `data.length / (width * height)`. */
  readonly channels?: 1 | 3 | 4;
}

/** A `Blob` or `File` of any implementation. */
export interface BlobLike {
  readonly size: number;
  readonly type: string;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/**
 * An image: a path, a `file:` or `data:` URL (string or `URL`), the bytes of a file (PNG, JPEG, WebP, AVIF, GIF, TIFF),
 * a `Blob` of them, or pixels. Bytes alone, including a `Uint8ClampedArray`, are always those of a file.
 */
export type ImageSource =
  | string
  | URL
  | Uint8Array
  | Uint8ClampedArray
  | DataView
  | ArrayBuffer
  | SharedArrayBuffer
  | BlobLike
  | RawImage;

export type OpenedSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'pixels'; readonly pixels: RawImage };

const ACCEPTED =
  'a path, a file: or data: URL, the bytes of an image file (Uint8Array, ArrayBuffer, Blob) or pixels as { data, width, height }';

/** @throws INVALID_OPTION for other values, INVALID_IMAGE for a data URI or a Blob that cannot be read */
export async function openSource(source: unknown): Promise<OpenedSource> {
  if (typeof source === 'string') return fromText(source);
  if (isUrl(source)) return fromText(source.href);
  if (types.isAnyArrayBuffer(source)) return { kind: 'bytes', bytes: bytesAt(source) };
  if (ArrayBuffer.isView(source)) return { kind: 'bytes', bytes: bytesOf(source) };
  if (typeof source === 'object' && source !== null) {
    if (isBlob(source)) return { kind: 'bytes', bytes: await blobBytes(source) };
    if ('data' in source || 'width' in source || 'height' in source)
      return { kind: 'pixels', pixels: checkPixels(source) };
  }
  throw invalidOption('image', ACCEPTED, source, hintFor(source));
}

function fromText(text: string): OpenedSource {
  if (/^data:/i.test(text)) return { kind: 'bytes', bytes: parseDataUri(text) };
  const [, scheme] = /^([a-z][a-z0-9+.-]+):\/\//i.exec(text) ?? /^(file|blob):/i.exec(text) ?? [];
  if (scheme === undefined) {
    if (text === '' || text.includes('\0')) throw invalidOption('image', ACCEPTED, text);
    return { kind: 'file', path: text };
  }
  if (scheme.toLowerCase() === 'file') return { kind: 'file', path: filePath(text) };
  const hint = /^https?$/i.test(scheme)
    ? 'Safelight does not download images: pass the bytes, await (await fetch(url)).arrayBuffer()'
    : 'read it and pass the bytes';
  throw invalidOption('image', ACCEPTED, text, hint);
}

function filePath(url: string): string {
  try {
    return fileURLToPath(new URL(url));
  } catch (cause) {
    throw invalidOption('image', 'a file: URL on this machine', url, (cause as Error).message);
  }
}

/** Rejects arrays of floats, which are not the bytes of a file. */
function bytesOf(view: ArrayBufferView): Uint8Array {
  const isBytes = types.isUint8Array(view) || types.isUint8ClampedArray(view) || types.isDataView(view);
  if (!isBytes)
    throw invalidOption(
      'image',
      ACCEPTED,
      view,
      'convert latents with decode, and other tensors with Tensor.toImage',
    );
  return bytesAt(view.buffer, view.byteOffset, view.byteLength);
}

/** Creates a view; fails for memory that was transferred to another thread (`postMessage` with a transfer list). */
function bytesAt(buffer: ArrayBufferLike, offset?: number, length?: number): Uint8Array {
  try {
    return new Uint8Array(buffer, offset, length);
  } catch (cause) {
    throw new SafelightError(
      'INVALID_IMAGE',
      'Cannot read the image: its ArrayBuffer is detached (transferred to another thread); pass a copy',
      { cause },
    );
  }
}

async function blobBytes(blob: BlobLike): Promise<Uint8Array> {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SafelightError('INVALID_IMAGE', `Cannot read the image's Blob: ${why}`, { cause });
  }
}

function checkPixels(source: object): RawImage {
  const { data, width, height, channels } = source as Readonly<Record<string, unknown>>;
  const sides = { width: side('width', width), height: side('height', height) };
  if (!types.isUint8Array(data) && !types.isUint8ClampedArray(data))
    throw invalidOption('image.data', 'a Uint8Array or Uint8ClampedArray', data);
  const pixels = sides.width * sides.height;
  const count = channels ?? data.length / pixels;
  if ((count !== 1 && count !== 3 && count !== 4) || data.length !== pixels * count) {
    const each =
      channels === undefined ? '1, 3 or 4 bytes' : `1, 3 or 4 bytes (channels: ${String(channels)})`;
    throw invalidOption('image.data', `${each} for each of ${width} x ${height} pixels`, data.length);
  }
  return { data, ...sides, channels: count };
}

function side(name: string, size: unknown): number {
  if (typeof size === 'number' && Number.isSafeInteger(size) && size >= 1) return size;
  throw invalidOption(`image.${name}`, 'an integer of at least 1', size);
}

/** Objects of other realms (workers, test runners) are not instances of this realm's classes. */
function isUrl(source: unknown): source is URL {
  return (
    source instanceof URL ||
    (Object.prototype.toString.call(source) === '[object URL]' &&
      typeof (source as { href?: unknown }).href === 'string')
  );
}

function isBlob(source: object): source is BlobLike {
  return (
    'arrayBuffer' in source &&
    typeof source.arrayBuffer === 'function' &&
    'size' in source &&
    typeof source.size === 'number'
  );
}

function hintFor(source: unknown): string | undefined {
  if (typeof source !== 'object' || source === null) return undefined;
  if ('arrayBuffer' in source) return 'pass await response.arrayBuffer()';
  if ('then' in source) return 'await the promise';
  if ('pipe' in source || 'getReader' in source) return 'read the stream to its end and pass the bytes';
  if ('getContext' in source)
    return 'pass context.getImageData(0, 0, width, height) or the bytes of canvas.toBuffer()';
  return Array.isArray(source) ? 'pass one image' : undefined;
}
