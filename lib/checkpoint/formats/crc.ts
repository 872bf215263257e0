/** CRC-32 checksums: zlib's implementation if Node.js has it (from 20.15), else a table. */
import type { FileHandle } from 'node:fs/promises';
import * as zlib from 'node:zlib';
import { readFully } from '../../files/read.js';

const PIECE = 4 * 1024 * 1024;

/** Returns the CRC-32 of bytes; `before` is the checksum of the preceding bytes. */
export const crc32: (bytes: Uint8Array, before?: number) => number =
  typeof zlib.crc32 === 'function' ? zlib.crc32 : crc32ByTable;

/** Computes the CRC-32 of a range of a file. */
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

/** CRC-32 with the reflected polynomial 0xedb88320, one byte per step. */
export function crc32ByTable(bytes: Uint8Array, before = 0): number {
  table ??= Uint32Array.from({ length: 256 }, (_, value) => {
    let remainder = value;
    for (let bit = 0; bit < 8; bit++)
      remainder = (remainder & 1) === 1 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1;
    return remainder >>> 0;
  });
  let crc = ~before >>> 0;
  for (const byte of bytes) crc = (table[(crc ^ byte) & 255] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}
