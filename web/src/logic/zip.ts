/** A ZIP archive without compression, which images have already: several files in one download. */

export interface ZipEntry {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Bytes and files that the plain format can count; more would take ZIP64. */
const MOST_BYTES = 2 ** 32 - 1;
const MOST_FILES = 2 ** 16 - 1;

/**
 * Returns the archive in parts, for a Blob.
 * @throws Error for an archive of 4 GiB or more
 */
export function zipped(entries: readonly ZipEntry[], made = new Date()): Uint8Array<ArrayBuffer>[] {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const directory: Uint8Array<ArrayBuffer>[] = [];
  let offset = 0;
  for (const { name, bytes } of entries) {
    const label = new TextEncoder().encode(name);
    const common = commonFields(label, bytes, made);
    const local = [header(0x04034b50, common), label, new Uint8Array(bytes)];
    directory.push(centralHeader(common, offset), label);
    parts.push(...local);
    offset += sizeOf(local);
  }
  const size = sizeOf(directory);
  if (offset + size > MOST_BYTES || entries.length > MOST_FILES)
    throw new Error('More than 4 GiB do not fit into one archive; select fewer');
  return [...parts, ...directory, endOf(entries.length, size, offset)];
}

/** The 26 bytes that a file's own header and its entry in the directory share, from the version needed on. */
function commonFields(label: Uint8Array, bytes: Uint8Array, made: Date): Uint8Array<ArrayBuffer> {
  const fields = new Uint8Array(26);
  const view = new DataView(fields.buffer);
  view.setUint16(0, 20, true); // version 2.0
  view.setUint16(2, 1 << 11, true); // the name is UTF-8
  view.setUint16(4, 0, true); // stored
  view.setUint16(6, (made.getHours() << 11) | (made.getMinutes() << 5) | (made.getSeconds() >> 1), true);
  const year = Math.min(127, Math.max(0, made.getFullYear() - 1980));
  view.setUint16(8, (year << 9) | ((made.getMonth() + 1) << 5) | made.getDate(), true);
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
  new DataView(fields.buffer).setUint32(38, Math.min(offset, MOST_BYTES), true);
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
