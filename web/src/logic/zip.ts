/** Creates ZIP archives without compression, because images are already compressed. */

export interface ZipEntry {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Limits of the format without ZIP64. */
const MAX_BYTES = 2 ** 32 - 1;
const MAX_FILES = 2 ** 16 - 1;

/** Returns the archive as parts for a Blob. @throws Error for an archive of 4 GiB or more */
export function createZip(entries: readonly ZipEntry[], date = new Date()): Uint8Array<ArrayBuffer>[] {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const directory: Uint8Array<ArrayBuffer>[] = [];
  let offset = 0;
  for (const { name, bytes } of entries) {
    const label = new TextEncoder().encode(name);
    const common = commonFields(label, bytes, date);
    const local = [header(0x04034b50, common), label, new Uint8Array(bytes)];
    directory.push(centralHeader(common, offset), label);
    parts.push(...local);
    offset += sizeOf(local);
  }
  const size = sizeOf(directory);
  if (offset + size > MAX_BYTES || entries.length > MAX_FILES)
    throw new Error('An archive cannot exceed 4 GiB; select fewer images');
  return [...parts, ...directory, endOf(entries.length, size, offset)];
}

/**
 * Returns the 26 bytes that the local header of a file and its directory entry share, starting with the required
 * version.
 */
function commonFields(label: Uint8Array, bytes: Uint8Array, date: Date): Uint8Array<ArrayBuffer> {
  const fields = new Uint8Array(26);
  const view = new DataView(fields.buffer);
  view.setUint16(0, 20, true); // version 2.0
  view.setUint16(2, 1 << 11, true); // the name is UTF-8
  view.setUint16(4, 0, true); // stored
  view.setUint16(6, (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1), true);
  const year = Math.min(127, Math.max(0, date.getFullYear() - 1980));
  view.setUint16(8, (year << 9) | ((date.getMonth() + 1) << 5) | date.getDate(), true);
  view.setUint32(10, crc32(bytes), true);
  view.setUint32(14, bytes.length, true);
  view.setUint32(18, bytes.length, true);
  view.setUint16(22, label.length, true);
  return fields;
}

function header(signature: number, fields: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4 + fields.length);
  new DataView(bytes.buffer).setUint32(0, signature, true);
  bytes.set(fields, 4);
  return bytes;
}

function centralHeader(common: Uint8Array, offset: number): Uint8Array<ArrayBuffer> {
  const fields = new Uint8Array(42);
  fields.set([20, 0]); // made by version 2.0
  fields.set(common, 2);
  new DataView(fields.buffer).setUint32(38, Math.min(offset, MAX_BYTES), true);
  return header(0x02014b50, fields);
}

function endOf(count: number, size: number, offset: number): Uint8Array<ArrayBuffer> {
  const fields = new Uint8Array(18);
  const view = new DataView(fields.buffer);
  view.setUint16(4, count, true);
  view.setUint16(6, count, true);
  view.setUint32(8, size, true);
  view.setUint32(12, offset, true);
  return header(0x06054b50, fields);
}

function sizeOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
