/** Computes the layout of a GGUF file (version 3): the bytes before the data, and the offset of each tensor's data. */
import { SafelightError } from '../../errors.js';
import { elementCount } from '../../tensor/shape.js';
import { GGUF_VALUE, ggufType, ggufTypeId } from './gguf-types.js';

export interface GgufTensor {
  readonly name: string;
  /** Type name as in `TensorInfo`, such as `Q4_K`. */
  readonly type: string;
  /** Shape in PyTorch's order. */
  readonly shape: readonly number[];
}

export type GgufWritable =
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'uint32'; readonly value: number };

export interface GgufLayout {
  /** All bytes before the data, padded to the alignment. */
  readonly header: Buffer;
  /** Offsets from the file's beginning in bytes, in the order of the tensors. */
  readonly offsets: readonly number[];
  readonly lengths: readonly number[];
  /** Size of the file in bytes. */
  readonly size: number;
}

const ALIGNMENT = 32;
const VERSION = 3;

/** @throws INTERNAL for a tensor that the format cannot represent */
export function layoutGguf(
  metadata: ReadonlyMap<string, GgufWritable>,
  tensors: readonly GgufTensor[],
): GgufLayout {
  const parts: Buffer[] = [Buffer.from('GGUF'), u32(VERSION), u64(tensors.length), u64(metadata.size)];
  for (const [key, { type, value }] of metadata) {
    parts.push(text(key), u32(GGUF_VALUE[type]), typeof value === 'string' ? text(value) : u32(value));
  }
  const lengths = tensors.map(bytesOf);
  let end = 0;
  const places = lengths.map((length) => {
    const offset = end;
    end = aligned(offset + length);
    return offset;
  });
  tensors.forEach(({ name, type, shape }, i) => {
    parts.push(text(name), u32(shape.length));
    for (const side of [...shape].reverse()) parts.push(u64(side));
    parts.push(u32(ggufTypeId(type) ?? 0), u64(places[i]!));
  });
  const bytes = Buffer.concat(parts);
  const header = Buffer.concat([bytes, Buffer.alloc(aligned(bytes.length) - bytes.length)]);
  // The last tensor is padded too, as in ggml's writer.
  return {
    header,
    offsets: places.map((offset) => header.length + offset),
    lengths,
    size: header.length + end,
  };
}

function bytesOf({ name, type: typeName, shape }: GgufTensor): number {
  const type = ggufType(ggufTypeId(typeName) ?? -1);
  const row = shape.at(-1) ?? 0;
  if (type === undefined || shape.length < 1 || shape.length > 4 || row % type.block !== 0) {
    throw new SafelightError(
      'INTERNAL',
      `${name} of shape [${shape.join(', ')}] cannot be stored as ${typeName} in GGUF`,
    );
  }
  return (elementCount(shape) / type.block) * type.bytes;
}

function aligned(position: number): number {
  return Math.ceil(position / ALIGNMENT) * ALIGNMENT;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}
