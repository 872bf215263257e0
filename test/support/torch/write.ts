/** Writes pickles, zip archives and checkpoints, valid and malicious. */
import { crc32, deflateRawSync } from 'node:zlib';

// -- pickles

export const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');

export function number(value: number | bigint, bytes: 1 | 2 | 4 | 8): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer.subarray(0, bytes);
}

export const text = (value: string): Buffer =>
  Buffer.concat([ascii('X'), number(Buffer.byteLength(value), 4), Buffer.from(value)]);
export const int = (value: number): Buffer =>
  value < 2 ** 31
    ? Buffer.concat([ascii('J'), number(value, 4)])
    : Buffer.concat([Buffer.from([0x8a, 8]), number(value, 8)]);
export const global = (module: string, name: string): Buffer => ascii(`c${module}\n${name}\n`);
export const tuple = (...items: Uint8Array[]): Buffer => Buffer.concat([ascii('('), ...items, ascii('t')]);
export const call = (what: Uint8Array, ...args: Uint8Array[]): Buffer =>
  Buffer.concat([what, tuple(...args), ascii('R')]);
export const dict = (items: Record<string, Uint8Array>): Buffer =>
  Buffer.concat([
    ascii('}('),
    ...Object.entries(items).flatMap(([key, value]) => [text(key), value]),
    ascii('u'),
  ]);
export const pickle = (...parts: Uint8Array[]): Buffer =>
  Buffer.concat([Buffer.from([0x80, 2]), ...parts, ascii('.')]);

const STORAGES: Readonly<Record<string, readonly [name: string, size: number]>> = {
  F64: ['DoubleStorage', 8],
  F32: ['FloatStorage', 4],
  F16: ['HalfStorage', 2],
  BF16: ['BFloat16Storage', 2],
  I64: ['LongStorage', 8],
  I32: ['IntStorage', 4],
  U8: ['ByteStorage', 1],
};

export function storage(dtype: string, key: string, count: number): Buffer {
  const type = global('torch', STORAGES[dtype]![0]);
  return Buffer.concat([tuple(text('storage'), type, text(key), text('cpu'), int(count)), ascii('Q')]);
}

export function tensor(
  stored: Uint8Array,
  shape: readonly number[],
  { offset = 0, strides = contiguous(shape) }: { offset?: number; strides?: readonly number[] } = {},
): Buffer {
  const rebuild = global('torch._utils', '_rebuild_tensor_v2');
  const [dims, steps] = [shape, strides].map((sizes) => tuple(...sizes.map(int))) as [Buffer, Buffer];
  return call(rebuild, stored, int(offset), dims, steps, Buffer.from([0x89]), ascii('}'));
}

function contiguous(shape: readonly number[]): number[] {
  return shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
}

// -- zip archives

export interface Entry {
  readonly data: Uint8Array;
  readonly deflate?: boolean;
  /** False values of header fields, in both headers or in the local one alone. */
  readonly says?: Partial<Fields>;
  readonly locally?: Partial<Fields>;
}

interface Fields {
  name: string;
  flags: number;
  method: number;
  crc: number;
  packed: number;
  size: number;
  offset: number;
}

/** Adds or replaces fields of the end record: 8 entries here, 10 entries, 12 length, 16 offset. */
export interface ZipLies {
  readonly end?: Readonly<Record<number, number>>;
  /** Sizes and offsets in ZIP64 fields. */
  readonly zip64?: boolean;
  readonly directory64?: { count?: bigint; length?: bigint; offset?: bigint };
}

export function zip(entries: readonly (readonly [string, Entry])[], lies: ZipLies = {}): Buffer {
  const parts: Buffer[] = [];
  const headers: Buffer[] = [];
  let at = 0;
  for (const [name, entry] of entries) {
    const bytes = entry.deflate ? deflateRawSync(entry.data) : Buffer.from(entry.data);
    const truth: Fields = {
      name,
      flags: 0,
      method: entry.deflate ? 8 : 0,
      crc: crc32(entry.data),
      packed: bytes.length,
      size: entry.data.length,
      offset: at,
    };
    const said = { ...truth, ...entry.says };
    const local = localHeader({ ...said, ...entry.locally });
    parts.push(local, bytes);
    at += local.length + bytes.length;
    headers.push(centralHeader(said, lies.zip64 ?? false));
  }
  const directory = Buffer.concat(headers);
  return Buffer.concat([...parts, directory, ...endRecords(entries.length, directory.length, at, lies)]);
}

function localHeader({ name, flags, method, crc, packed, size }: Fields): Buffer {
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(flags, 6);
  header.writeUInt16LE(method, 8);
  header.writeUInt32LE(crc, 14);
  header.writeUInt32LE(Math.min(packed, 0xffffffff), 18);
  header.writeUInt32LE(Math.min(size, 0xffffffff), 22);
  header.writeUInt16LE(Buffer.byteLength(name), 26);
  return Buffer.concat([header, Buffer.from(name)]);
}

export function centralHeader(
  { name, flags, method, crc, packed, size, offset }: Fields,
  wide: boolean,
): Buffer {
  const header = Buffer.alloc(46);
  const extra = wide
    ? Buffer.concat([number(1, 2), number(24, 2), number(size, 8), number(packed, 8), number(offset, 8)])
    : Buffer.alloc(0);
  header.writeUInt32LE(0x02014b50, 0);
  header.writeUInt16LE(flags, 8);
  header.writeUInt16LE(method, 10);
  header.writeUInt32LE(crc, 16);
  header.writeUInt32LE(wide ? 0xffffffff : packed, 20);
  header.writeUInt32LE(wide ? 0xffffffff : size, 24);
  header.writeUInt16LE(Buffer.byteLength(name), 28);
  header.writeUInt16LE(extra.length, 30);
  header.writeUInt32LE(wide ? 0xffffffff : offset, 42);
  return Buffer.concat([header, Buffer.from(name), extra]);
}

export function endRecords(count: number, length: number, offset: number, lies: ZipLies): Buffer[] {
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  for (const field of [8, 10]) end.writeUInt16LE(count, field);
  end.writeUInt32LE(lies.zip64 ? 0xffffffff : length, 12);
  end.writeUInt32LE(lies.zip64 ? 0xffffffff : offset, 16);
  for (const [field, value] of Object.entries(lies.end ?? {}))
    Number(field) < 12 ? end.writeUInt16LE(value, Number(field)) : end.writeUInt32LE(value, Number(field));
  if (!lies.zip64) return [end];
  const wide = { count: BigInt(count), length: BigInt(length), offset: BigInt(offset), ...lies.directory64 };
  const record = Buffer.alloc(56);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(44n, 4);
  record.writeBigUInt64LE(wide.count, 24);
  record.writeBigUInt64LE(wide.count, 32);
  record.writeBigUInt64LE(wide.length, 40);
  record.writeBigUInt64LE(wide.offset, 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(offset + length), 8);
  locator.writeUInt32LE(1, 16);
  return [record, locator, end];
}

// -- checkpoints

export interface Stored {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** The pickle of a state dict, with its storages by key. */
export function stateDict(tensors: ReadonlyMap<string, Stored>): {
  pickle: Buffer;
  storages: [string, Buffer][];
} {
  const storages: [string, Buffer][] = [];
  const items: Record<string, Buffer> = {};
  for (const [name, { dtype, shape, data }] of tensors) {
    const key = String(storages.length);
    storages.push([key, Buffer.from(data)]);
    items[name] = tensor(
      storage(
        dtype,
        key,
        shape.reduce((a, b) => a * b, 1),
      ),
      shape,
    );
  }
  return { pickle: pickle(dict({ state_dict: dict(items) })), storages };
}

export function zipForm(
  pickled: Uint8Array,
  storages: readonly (readonly [string, Uint8Array])[] = [],
): Buffer {
  return zip([
    ['archive/data.pkl', { data: pickled }],
    ...storages.map(([key, data]): [string, Entry] => [`archive/data/${key}`, { data }]),
    ['archive/version', { data: ascii('3\n') }],
  ]);
}

/** @param storages elements and bytes by key */
export function legacyForm(
  pickled: Uint8Array,
  storages: readonly (readonly [string, number, Uint8Array])[] = [],
): Buffer {
  return Buffer.concat([
    Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex'),
    pickle(ascii('M'), number(1001, 2)),
    pickle(dict({ little_endian: Buffer.from([0x88]) })),
    pickled,
    pickle(ascii(']('), ...storages.map(([key]) => text(key)), ascii('e')),
    ...storages.flatMap(([, count, data]) => [number(count, 8), Buffer.from(data)]),
  ]);
}
