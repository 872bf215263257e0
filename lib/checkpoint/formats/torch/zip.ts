/**
 * Reads the directory of a zip archive as `torch.save` writes it (ZIP64, entries stored and aligned, sizes in data
 * descriptors). C++ maps the data, so an entry is valid only if directory and local header agree, and it is within the
 * file without overlap.
 *
 * Format: PKWARE's APPNOTE.TXT 6.3.
 */
import type { FileHandle } from 'node:fs/promises';
import { readFully } from '../../../files/read.js';
import type { Fail } from './values.js';

export interface ZipEntry {
  readonly name: string;
  readonly crc: number;
  /** Bytes in the file. */
  readonly packed: number;
  /** Bytes of the uncompressed content. */
  readonly size: number;
  readonly deflated: boolean;
  /** Absolute offset of the data. */
  readonly offset: number;
}

const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const NONE32 = 0xffffffff;
const NONE16 = 0xffff;

/** Limit of entries; the largest real checkpoints have about ten thousand. */
const MAX_ENTRIES = 65_536;
const MAX_DIRECTORY = 16 * 1024 * 1024;

/** Reads and validates the directory and every local header. @throws INVALID_FILE by way of `fail` */
export async function readZip(
  handle: FileHandle,
  size: number,
  path: string,
  fail: Fail,
): Promise<Map<string, ZipEntry>> {
  const read = async (offset: number, length: number): Promise<Buffer> => {
    const bytes = Buffer.alloc(length);
    await readFully(handle, bytes, offset, path);
    return bytes;
  };
  const end = await findDirectory(read, size, fail);
  const headers = parseDirectory(await read(end.offset, end.length), end.count, fail);
  const entries = new Map<string, ZipEntry>();
  const ranges: [begin: number, end: number][] = [];
  for (const header of headers) {
    if (entries.has(header.name)) fail(`has the entry ${quoted(header.name)} twice`);
    const offset = await checkLocal(read, header, end.offset, fail);
    ranges.push([header.local, offset + header.packed]);
    const { name, crc, packed, size, deflated } = header;
    entries.set(name, { name, crc, packed, size, deflated, offset });
  }
  ranges.sort(([a], [b]) => a - b);
  ranges.forEach(([begin], i) => {
    if (i > 0 && begin < (ranges[i - 1]?.[1] ?? 0)) fail(`has entries that overlap at byte ${begin}`);
  });
  return entries;
}

type Read = (offset: number, length: number) => Promise<Buffer>;

/** Finds the directory, which is directly before its end record at the end of the file. */
async function findDirectory(
  read: Read,
  size: number,
  fail: Fail,
): Promise<{ offset: number; length: number; count: number }> {
  const tail = await read(Math.max(0, size - 22 - NONE16), Math.min(size, 22 + NONE16));
  const base = size - tail.length;
  let at = tail.length - 22;
  while (at >= 0 && !(tail.readUInt32LE(at) === END && at + 22 + tail.readUInt16LE(at + 20) === tail.length))
    at--;
  if (at < 0) return fail('has no end record of a zip directory (truncated)');
  let closing = base + at;
  let count = tail.readUInt16LE(at + 10);
  let length = tail.readUInt32LE(at + 12);
  let offset = tail.readUInt32LE(at + 16);
  if (
    tail.readUInt16LE(at + 4) !== 0 ||
    tail.readUInt16LE(at + 6) !== 0 ||
    tail.readUInt16LE(at + 8) !== count
  )
    fail('is a part of a multi-volume zip archive');
  if (closing >= 20) {
    const locator = await read(closing - 20, 20);
    if (locator.readUInt32LE(0) === LOCATOR64) {
      closing = number64(locator, 8, fail);
      if (closing > size - 56) fail('has a zip directory outside the file');
      const record = await read(closing, 56);
      if (record.readUInt32LE(0) !== END64)
        fail('has no ZIP64 end record at the position that its locator states');
      [count, length, offset] = [
        number64(record, 32, fail),
        number64(record, 40, fail),
        number64(record, 48, fail),
      ];
    }
  }
  if (count > MAX_ENTRIES || length > MAX_DIRECTORY || length < 46 * count)
    fail(`states ${count} zip entries in a directory of ${length} bytes, which is implausible`);
  if (offset + length !== closing)
    fail('has a zip directory at another position than stated (truncated or padded)');
  return { offset, length, count };
}

interface Header extends Omit<ZipEntry, 'offset'> {
  /** Offset of the local header. */
  readonly local: number;
  readonly flags: number;
  readonly method: number;
  readonly rawName: Buffer;
}

function parseDirectory(bytes: Buffer, count: number, fail: Fail): Header[] {
  const headers: Header[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > bytes.length || bytes.readUInt32LE(at) !== CENTRAL) fail('has a damaged zip directory');
    const [nameLength, extraLength, comment] = [28, 30, 32].map((field) =>
      bytes.readUInt16LE(at + field),
    ) as [number, number, number];
    const end = at + 46 + nameLength + extraLength + comment;
    if (end > bytes.length) fail('has a zip directory that ends inside an entry');
    const rawName = bytes.subarray(at + 46, at + 46 + nameLength);
    const name = rawName.toString('utf8');
    const flags = bytes.readUInt16LE(at + 8);
    const method = bytes.readUInt16LE(at + 10);
    if ((flags & 0x41) !== 0) fail(`has the encrypted entry ${quoted(name)}`);
    if (method !== 0 && method !== 8) fail(`has the entry ${quoted(name)} compressed by method ${method}`);
    const [size, packed, local] = wide(
      [bytes.readUInt32LE(at + 24), bytes.readUInt32LE(at + 20), bytes.readUInt32LE(at + 42)],
      bytes.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength),
      fail,
    );
    if (method === 0 && size !== packed) fail(`has the entry ${quoted(name)} stored with differing sizes`);
    headers.push({
      name,
      rawName,
      flags,
      method,
      crc: bytes.readUInt32LE(at + 16),
      size,
      packed,
      local,
      deflated: method === 8,
    });
    at = end;
  }
  if (at !== bytes.length) fail('has a zip directory that is longer than its entries');
  return headers;
}

/** Returns the fields; those that are all ones are read from the ZIP64 extra field, in this order. */
function wide(fields: [number, number, number], extra: Buffer, fail: Fail): [number, number, number] {
  if (!fields.includes(NONE32)) return fields;
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    let next = at + 4;
    const end = next + extra.readUInt16LE(at + 2);
    if (end > extra.length) fail('has a damaged ZIP64 field');
    return fields.map((value) => {
      if (value !== NONE32) return value;
      if (next + 8 > end) fail('has a ZIP64 field that is too short');
      next += 8;
      return number64(extra, next - 8, fail);
    }) as [number, number, number];
  }
  return fail('lacks a required ZIP64 field');
}

/** Offset of the checksum in a local header. */
const CRC = 14;

/** @returns the absolute offset of the data */
async function checkLocal(read: Read, header: Header, directory: number, fail: Fail): Promise<number> {
  const { local, rawName, flags, method, packed } = header;
  const what = quoted(header.name);
  if (local + 30 + rawName.length > directory) return fail(`has no room for the entry ${what}`);
  const bytes = await read(local, 30 + rawName.length);
  const same =
    bytes.readUInt32LE(0) === LOCAL &&
    bytes.readUInt16LE(6) === flags &&
    bytes.readUInt16LE(8) === method &&
    bytes.readUInt16LE(26) === rawName.length &&
    bytes.subarray(30).equals(rawName);
  // With a data descriptor (flag 8) the header is written before these values are known, and contains zeros.
  const later = (flags & 8) !== 0;
  const agrees = (field: number, value: number): boolean => {
    const stored = bytes.readUInt32LE(field);
    return stored === value || (field !== CRC && stored === NONE32) || (later && stored === 0);
  };
  if (!same || !agrees(CRC, header.crc) || !agrees(18, packed) || !agrees(22, header.size))
    fail(`has an entry ${what} whose two headers disagree`);
  const offset = local + bytes.length + bytes.readUInt16LE(28);
  if (offset + packed > directory) fail(`has an entry ${what} that exceeds the space before the directory`);
  return offset;
}

function number64(bytes: Buffer, at: number, fail: Fail): number {
  const value = bytes.readBigUInt64LE(at);
  return value <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(value)
    : fail('has an implausible size in its zip directory');
}

function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 100));
}
