/** Checksums of zip entries, by zlib where Node has it (20.15 on), else by a table. */
import type { FileHandle } from 'node:fs/promises';
import * as zlib from 'node:zlib';
import { readFully } from '../../files/read.js';

const PIECE = 4 * 1024 * 1024;

/** CRC-32 of bytes, continuing from that of the bytes before. */
export const crc32: (bytes: Uint8Array, before?: number) => number =
  typeof zlib.crc32 === 'function' ? zlib.crc32 : crc32ByTable;

/** CRC-32 of a range of a file. */
export async function crcOfRange(
  handle: FileHandle,
  offset: number,
  length: number,
  path: string,
): Promise<number> {
  const buffer = Buffer.allocUnsafe(Math.min(PIECE, length));
  let crc = 0;
  for (let done = 0; done < length; ) {
    const piece = buffer.subarray(0, Math.min(PIECE, length - done));
    await readFully(handle, piece, offset + done, path);
    crc = crc32(piece, crc);
    done += piece.length;
  }
  return crc;
}

let table: Uint32Array | undefined;

/** The reflected polynomial 0xedb88320, a byte at a time. */
export function crc32ByTable(bytes: Uint8Array, before = 0): number {
  table ??= Uint32Array.from({ length: 256 }, (_, value) => {
    let rest = value;
    for (let bit = 0; bit < 8; bit++) rest = (rest & 1) === 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
    return rest >>> 0;
  });
  let crc = ~before >>> 0;
  for (const byte of bytes) crc = (table[(crc ^ byte) & 255] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}
