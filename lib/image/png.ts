/** Encodes PNG with sharp, adds text chunks, and reads them. */
import { inflateSync } from 'node:zlib';
import { invalidOption, SafelightError } from '../errors.js';
import { checkRgb, type RgbPixels } from '../tensor/render.js';
import { loadSharp } from './sharp.js';

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
/** Length of the signature and of the header chunk with 13 bytes of data, which always comes first. */
const AFTER_HEADER = 8 + 25;
const MAX_TEXT = 16 * 2 ** 20;

/**
 * Encodes an image as PNG. Each key of `text` becomes a chunk before the pixels: tEXt if Latin-1 can represent it, else
 * iTXt (like Pillow and A1111).
 * @param text keys of 1 to 79 Latin-1 characters
 * @throws INVALID_IMAGE, INVALID_OPTION
 */
export async function encodePng(
  image: RgbPixels,
  text: Readonly<Record<string, string>> = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { data, width, height } = checkRgb('image', image);
  checkText(text);
  const sharp = await loadSharp();
  const png = await sharp(data, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 6 })
    .toBuffer()
    .catch((cause: unknown) => {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new SafelightError('INVALID_IMAGE', `Cannot write ${width} x ${height} pixels as PNG: ${why}`, {
        cause,
      });
    });
  return addPngText(png, text);
}

/**
 * Returns a PNG with text chunks before the pixels, one for each key of `text`; see `encodePng`.
 * @throws INVALID_OPTION
 */
export function addPngText(png: Uint8Array, text: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  checkText(text);
  const chunks = Object.entries(text).map(([key, value]) => textChunk(key, value));
  return Buffer.concat([png.subarray(0, AFTER_HEADER), ...chunks, png.subarray(AFTER_HEADER)]);
}

/**
 * Reads the text chunks (tEXt, zTXt, iTXt) of a PNG; the first one of a repeated key.
 * @throws INVALID_IMAGE if it is not a PNG file
 */
export function readPngText(png: Uint8Array): Record<string, string> {
  if (!(png instanceof Uint8Array)) throw invalidOption('png', 'the bytes of a PNG file (Uint8Array)', png);
  if (png.length < AFTER_HEADER || SIGNATURE.some((b, i) => png[i] !== b)) {
    throw new SafelightError('INVALID_IMAGE', 'This is not a PNG file');
  }
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  const texts = new Map<string, string>();
  for (let at = 8; at + 12 <= png.length; ) {
    const length = view.getUint32(at);
    if (at + 12 + length > png.length) break;
    const type = latin1(png.subarray(at + 4, at + 8));
    const entry = parseText(type, png.subarray(at + 8, at + 8 + length));
    if (entry && !texts.has(entry[0])) texts.set(...entry);
    if (type === 'IEND') break;
    at += 12 + length;
  }
  return Object.fromEntries(texts);
}

function checkText(text: unknown): void {
  if (typeof text !== 'object' || text === null) throw invalidOption('text', 'an object of strings', text);
  for (const [key, value] of Object.entries(text))
    if (typeof value !== 'string') throw invalidOption(`text.${key}`, 'string', value);
}

function textChunk(key: string, value: string): Uint8Array {
  if (key.length < 1 || key.length > 79 || !isLatin1(key)) {
    throw new SafelightError(
      'INVALID_OPTION',
      `Expected a PNG text key of 1 to 79 Latin-1 characters, received '${key}'`,
    );
  }
  // Most readers end the text at a zero byte.
  const clean = value.replaceAll('\0', '');
  if (isLatin1(clean)) return chunk('tEXt', Buffer.from(`${key}\0${clean}`, 'latin1'));
  // Not compressed (flag 0, method 0), without language and translated key.
  return chunk(
    'iTXt',
    Buffer.concat([Buffer.from(`${key}\0\0\0\0\0`, 'latin1'), Buffer.from(clean, 'utf8')]),
  );
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const out = Buffer.alloc(12 + data.length);
  out.writeUInt32BE(data.length, 0);
  out.write(type, 4, 'latin1');
  out.set(data, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length);
  return out;
}

function parseText(type: string, data: Uint8Array): [string, string] | undefined {
  if (type !== 'tEXt' && type !== 'zTXt' && type !== 'iTXt') return undefined;
  const end = data.indexOf(0);
  if (end < 1) return undefined;
  const key = latin1(data.subarray(0, end));
  if (type === 'tEXt') return [key, latin1(data.subarray(end + 1))];
  if (type === 'zTXt') return withText(key, inflate(data.subarray(end + 2)), latin1);
  const compressed = data[end + 1] === 1;
  const language = data.indexOf(0, end + 3);
  const translated = language < 0 ? -1 : data.indexOf(0, language + 1);
  if (translated < 0) return undefined;
  const body = data.subarray(translated + 1);
  return withText(key, compressed ? inflate(body) : body, (bytes) => new TextDecoder().decode(bytes));
}

function withText(
  key: string,
  bytes: Uint8Array | undefined,
  decode: (bytes: Uint8Array) => string,
): [string, string] | undefined {
  return bytes && [key, decode(bytes)];
}

/** Inflates with a size limit, since a few bytes can expand to gigabytes. */
function inflate(data: Uint8Array): Uint8Array | undefined {
  try {
    return inflateSync(data, { maxOutputLength: MAX_TEXT });
  } catch {
    return undefined;
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

function isLatin1(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 255) return false;
  return true;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** CRC-32 of PNG chunks (ISO 3309). Not zlib's, which Node.js has only since 20.15. */
function crc32(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of bytes) c = CRC_TABLE[(c ^ byte) & 255]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}
