/** GGUF bytes, valid or not: every field of the format can have a wrong value. */
export interface BuildTensor {
  readonly name: string | Buffer;
  /** Dimensions in ggml's order. */
  readonly ne: readonly (number | bigint)[];
  readonly type: number;
  readonly offset: number | bigint;
}

export interface Build {
  readonly magic?: string;
  readonly version?: number;
  readonly tensors?: readonly BuildTensor[];
  /** Keys with their values' bytes, including the type. */
  readonly metadata?: readonly (readonly [key: string | Buffer, value: Buffer])[];
  readonly tensorCount?: bigint;
  readonly keyCount?: bigint;
  readonly alignment?: number;
  /** Number of data bytes. */
  readonly data?: number;
}

export const u8 = (value: number): Buffer => Buffer.from([value]);

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

export function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([u64(bytes.length), bytes]);
}

/** A metadata value: the number of its type, and its bytes. */
export const value = (type: number, ...bytes: Buffer[]): Buffer => Buffer.concat([u32(type), ...bytes]);

export function build({
  magic = 'GGUF',
  version = 3,
  tensors = [],
  metadata = [],
  tensorCount = BigInt(tensors.length),
  keyCount = BigInt(metadata.length),
  alignment = 32,
  data = 0,
}: Build): Buffer {
  const parts = [Buffer.from(magic), u32(version), u64(tensorCount), u64(keyCount)];
  for (const [key, bytes] of metadata) parts.push(text(key), bytes);
  for (const { name, ne, type, offset } of tensors) {
    parts.push(text(name), u32(ne.length), ...ne.map(u64), u32(type), u64(offset));
  }
  const header = Buffer.concat(parts);
  const padding = data === 0 ? 0 : Math.ceil(header.length / alignment) * alignment - header.length;
  return Buffer.concat([header, Buffer.alloc(padding + data)]);
}

export const F32 = 0;
export const F16 = 1;
export const Q8_0 = 8;
export const Q4_K = 12;
