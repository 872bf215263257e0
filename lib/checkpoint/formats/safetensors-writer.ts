/** Computes the layout of a safetensors file: the bytes before the data, and the offset of each tensor's data. */
import { elementCount } from '../../tensor/shape.js';

export interface SafetensorsTensor {
  readonly name: string;
  /** Type name as in `TensorInfo`, such as `F16`. */
  readonly type: 'F32' | 'F16' | 'BF16';
  readonly shape: readonly number[];
}

export interface SafetensorsLayout {
  /** All bytes before the data, padded to 8 bytes as by the reference. */
  readonly header: Buffer;
  /** Offsets from the file's beginning in bytes, in the order of the tensors. */
  readonly offsets: readonly number[];
  readonly lengths: readonly number[];
  /** Size of the file in bytes. */
  readonly size: number;
}

/** @param metadata entries of `__metadata__` */
export function layoutSafetensors(
  metadata: ReadonlyMap<string, string>,
  tensors: readonly SafetensorsTensor[],
): SafetensorsLayout {
  const lengths = tensors.map(({ type, shape }) => (type === 'F32' ? 4 : 2) * elementCount(shape));
  let end = 0;
  const entries = tensors.map(({ name, type, shape }, i): [string, unknown] => {
    const begin = end;
    end += lengths[i]!;
    return [name, { dtype: type, shape, data_offsets: [begin, end] }];
  });
  // Not Object.fromEntries: a tensor may be named `__proto__`.
  const fields = [['__metadata__', Object.fromEntries(metadata)] as const, ...entries];
  const json = fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',');
  const text = Buffer.from(`{${json}}`);
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const header = Buffer.concat([length, padded]);
  let offset = header.length;
  const offsets = lengths.map((bytes) => {
    const begin = offset;
    offset += bytes;
    return begin;
  });
  return { header, offsets, lengths, size: header.length + end };
}
