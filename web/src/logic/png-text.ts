/** The texts about how it was made that a PNG carries, read in the browser. */
import { EXACT_KEY } from '../../../lib/options/exact.js';
import type { ImageTexts } from './restore-exact.js';

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Characters of a text chunk that are believed. */
const MOST = 2 ** 20;

/** The texts of a PNG by which its settings come back (tEXt, zTXt, iTXt); none of other files. */
export async function readTexts(file: Blob): Promise<ImageTexts> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const found: Record<string, string> = {};
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) return found;
  const view = new DataView(bytes.buffer);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = latin1(bytes.subarray(at + 4, at + 8));
    if (type === 'IEND' || at + 12 + length > bytes.length) break;
    const [key, text] = (await textOf(type, bytes.subarray(at + 8, at + 8 + length))) ?? [];
    if (key !== undefined && text !== undefined) found[key] ??= text;
    at += 12 + length;
  }
  return found;
}

const KEYS = new Set(['parameters', EXACT_KEY]);

async function textOf(type: string, data: Uint8Array): Promise<[key: string, text: string] | undefined> {
  const end = data.indexOf(0);
  const key = latin1(data.subarray(0, Math.max(0, end)));
  if (!/^[tzi]TXt$|^tEXt$/.test(type) || !KEYS.has(key)) return undefined;
  if (type === 'tEXt') return [key, latin1(data.subarray(end + 1))];
  if (type === 'zTXt') return [key, latin1(await inflated(data.subarray(end + 2)))];
  const compressed = data[end + 1] === 1;
  const translated = data.indexOf(0, data.indexOf(0, end + 3) + 1);
  const body = data.subarray(translated + 1);
  return [key, new TextDecoder().decode(compressed ? await inflated(body) : body).slice(0, MOST)];
}

async function inflated(data: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([data as BlobPart]).stream().pipeThrough(new DecompressionStream('deflate'));
  const reader = stream.getReader();
  const parts: Uint8Array[] = [];
  for (let size = 0; size < MOST; ) {
    const { value, done } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
  }
  await reader.cancel();
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer()).subarray(0, MOST);
}

function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes.subarray(0, MOST)) text += String.fromCharCode(byte);
  return text;
}
