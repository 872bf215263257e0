/**
 * Embeddings in images, as A1111 saves them: in the text `sd-ti-embedding` of a PNG (base64 of JSON), and in the pixels
 * of two blocks beside the image, which survive programs that remove texts. Reference: A1111
 * `modules/textual_inversion/image_embedding.py`.
 */
import { inflateSync } from 'node:zlib';
import { SafelightError } from '../../errors.js';
import { readPngText } from '../../image/png.js';
import { readImage } from '../../image/read.js';
import type { RawTable } from './embedding-tables.js';

export interface ImageContent {
  readonly tables: readonly RawTable[];
  /** Numbers and strings beside the tensors: name, step, checkpoint. */
  readonly facts: ReadonlyMap<string, unknown>;
}

/** Key of the text in a PNG. */
const KEY = 'sd-ti-embedding';
const MAX_JSON = 32 * 2 ** 20;
/** Maximum number of pixels that are searched for an embedding. */
const MAX_PIXELS = 2 ** 24;

/** Returns true for the bytes of a PNG or WebP file. */
export function isEmbeddingImage(bytes: Uint8Array): boolean {
  const text = (begin: number, end: number) => Buffer.from(bytes.subarray(begin, end)).toString('latin1');
  return text(0, 8) === '\u0089PNG\r\n\u001a\n' || (text(0, 4) === 'RIFF' && text(8, 12) === 'WEBP');
}

/** Returns true if an image contains an embedding; malformed ones count too. */
export async function hasEmbedding(bytes: Uint8Array): Promise<boolean> {
  return (await embeddedJson(bytes)) !== undefined;
}

/** @throws INVALID_FILE for an image without an embedding, or with a malformed one */
export async function readEmbeddingImage(bytes: Uint8Array, path: string): Promise<ImageContent> {
  const json = await embeddedJson(bytes);
  if (json === undefined)
    throw new SafelightError(
      'INVALID_FILE',
      `${path} is an image without an embedding: it has neither the text ${JSON.stringify(KEY)} nor data in its pixels. Use the original file, since programs that save an image again remove both.`,
    );
  const fail = (what: string): never => {
    throw new SafelightError(
      'INVALID_FILE',
      `The embedding in ${path} ${what}; it is damaged: download it again`,
    );
  };
  if (json.length > MAX_JSON) fail(`has ${json.length} bytes, expected at most ${MAX_JSON}`);
  let root: unknown;
  try {
    root = JSON.parse(json.toString('utf8'));
  } catch (error) {
    fail(`is not valid JSON (${(error as Error).message})`);
  }
  const tables: RawTable[] = [];
  const facts = new Map<string, unknown>();
  for (const [name, value] of entriesOf(root)) {
    if (typeof value !== 'object' || value === null) facts.set(name, value);
    else if ('TORCHTENSOR' in value) tables.push(tableOf(name, value.TORCHTENSOR, fail));
    else
      for (const [inner, item] of entriesOf(value))
        if (typeof item === 'object' && item !== null && 'TORCHTENSOR' in item)
          tables.push(tableOf(`${name}.${inner}`, item.TORCHTENSOR, fail));
  }
  return { tables, facts };
}

/** Converts the nested lists of a tensor. */
function tableOf(name: string, value: unknown, fail: (what: string) => never): RawTable {
  const rows: unknown[] = Array.isArray(value) ? value : fail(`has no list of numbers for ${name}`);
  const isMatrix = Array.isArray(rows[0]);
  const lists = isMatrix ? rows : [rows];
  const width = Array.isArray(lists[0]) ? lists[0].length : 0;
  for (const list of lists)
    if (!Array.isArray(list) || list.length !== width || !list.every((item) => typeof item === 'number'))
      fail(`has no table of numbers for ${JSON.stringify(name.slice(0, 100))}`);
  return {
    name,
    shape: isMatrix ? [lists.length, width] : [width],
    dtype: 'F64',
    read: async () => Float32Array.from((lists as number[][]).flat()),
  };
}

async function embeddedJson(bytes: Uint8Array): Promise<Buffer | undefined> {
  const isPng = bytes[0] === 0x89;
  const text = isPng && bytes.length > 33 ? readPngText(bytes)[KEY] : undefined;
  return text === undefined ? pixelJson(bytes) : Buffer.from(text, 'base64');
}

/** Returns the JSON in an image's pixels; undefined if there is none. */
async function pixelJson(bytes: Uint8Array): Promise<Buffer | undefined> {
  const image = await readImage(bytes, { alpha: 'keep', maxPixels: MAX_PIXELS }).catch(() => undefined);
  if (image === undefined) return undefined;
  const { data, width, channels } = image;
  const { left, right, top, bottom } = boundsOf(image);
  /** Low four bits of the three colors at a pixel. */
  const nibble = (x: number, y: number, color: number) => data[(y * width + x) * channels + color]! & 15;
  const isBlack = (x: number): boolean => {
    for (let y = top; y < bottom; y++)
      for (let color = 0; color < 3; color++) if (nibble(x, y, color) !== 0) return false;
    return true;
  };
  const black: number[] = [];
  for (let x = left; x < right; x++) if (isBlack(x)) black.push(x);
  const [first = left, last = right] = [black[0], black.at(-1)];
  const columns = first - left;
  // Two blocks of equal size are separated from the image between them by black columns.
  if (black.length < 2 || columns === 0 || columns !== right - (last + 1)) return undefined;
  const packed = Buffer.alloc((bottom - top) * columns * 3);
  const mask = maskStream();
  for (let i = 0, y = top; y < bottom; y++)
    for (let x = 0; x < columns; x++)
      for (let color = 0; color < 3; color++, i++) {
        const bits = mask();
        const [low, high] = [nibble(left + x, y, color) ^ bits, nibble(last + 1 + x, y, color) ^ bits];
        packed[i] = (high << 4) | low;
      }
  try {
    return inflateSync(packed, { maxOutputLength: MAX_JSON });
  } catch {
    return undefined;
  }
}

interface Pixels {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/** Returns the rectangle that contains all pixels without a color of 0. */
function boundsOf({ data, width, height, channels }: Pixels) {
  let [left, right, top, bottom] = [width, 0, height, 0];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * channels;
      if (data[at] === 0 || data[at + 1] === 0 || data[at + 2] === 0) continue;
      [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
      [top, bottom] = [Math.min(top, y), y + 1];
    }
  return { left, right, top, bottom };
}

/** Returns the generator of the bits with which both blocks are masked: a linear congruence modulo 2^32. */
function maskStream(): () => number {
  let state = 0;
  return () => {
    state = (Math.imul(1664525, state) + 1013904223) >>> 0;
    return (state % 255) & 15;
  };
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
}
