/** Reads the generation settings in the text chunks of a PNG. */
import { EXACT_KEY } from '../../../lib/options/exact.js';
import type { ImageTexts } from './restore-exact.js';

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Maximum number of characters read from a text chunk. */
const MAX_LENGTH = 2 ** 20;

/** Reads the texts with generation settings from a PNG (tEXt, zTXt, iTXt); returns none for other files. */
export async function readTexts(file: Blob): Promise<ImageTexts> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const texts: Record<string, string> = {};
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) return texts;
  const view = new DataView(bytes.buffer);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = latin1(bytes.subarray(at + 4, at + 8));
    if (type === 'IEND' || at + 12 + length > bytes.length) break;
    const [key, text] = (await textOf(type, bytes.subarray(at + 8, at + 8 + length))) ?? [];
    if (key !== undefined && text !== undefined) texts[key] ??= text;
    at += 12 + length;
  }
  return texts;
}

const KEYS = new Set(['parameters', EXACT_KEY]);

async function textOf(type: string, data: Uint8Array): Promise<[key: string, text: string] | undefined> {
  const end = data.indexOf(0);
  const key = latin1(data.subarray(0, Math.max(0, end)));
  if (!/^[tzi]TXt$|^tEXt$/.test(type) || !KEYS.has(key)) return undefined;
  if (type === 'tEXt') return [key, latin1(data.subarray(end + 1))];
  if (type === 'zTXt') return [key, latin1(await inflate(data.subarray(end + 2)))];
  const compressed = data[end + 1] === 1;
  const translated = data.indexOf(0, data.indexOf(0, end + 3) + 1);
  const body = data.subarray(translated + 1);
  return [key, new TextDecoder().decode(compressed ? await inflate(body) : body).slice(0, MAX_LENGTH)];
}

async function inflate(data: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([data as BlobPart]).stream().pipeThrough(new DecompressionStream('deflate'));
  const reader = stream.getReader();
  const parts: Uint8Array[] = [];
  for (let size = 0; size < MAX_LENGTH; ) {
    const { value, done } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
  }
  await reader.cancel();
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer()).subarray(0, MAX_LENGTH);
}

function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes.subarray(0, MAX_LENGTH)) text += String.fromCharCode(byte);
  return text;
}
