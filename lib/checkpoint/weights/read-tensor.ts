import type { FileHandle } from 'node:fs/promises';
import { SafelightError } from '../../errors.js';
import { fileError, openRegular, readFully } from '../../files/read.js';
import { verifyTensors } from '../formats/verify.js';
import { formatShape, type TensorInfo } from './tensor-index.js';

const READERS: Readonly<
  Record<string, { readonly bytes: number; readonly read: (from: DataView, at: number) => number }>
> = {
  F64: { bytes: 8, read: (from, at) => from.getFloat64(at, true) },
  F32: { bytes: 4, read: (from, at) => from.getFloat32(at, true) },
  F16: { bytes: 2, read: (from, at) => halfToNumber(from.getUint16(at, true)) },
  BF16: { bytes: 2, read: (from, at) => bfloatToNumber(from.getUint16(at, true)) },
  I64: { bytes: 8, read: (from, at) => Number(from.getBigInt64(at, true)) },
  I32: { bytes: 4, read: (from, at) => from.getInt32(at, true) },
  U8: { bytes: 1, read: (from, at) => from.getUint8(at) },
  BOOL: { bytes: 1, read: (from, at) => from.getUint8(at) },
};

/**
 * Reads the values of a small tensor that determines the config (a scalar, a list of indices); C++ reads the weights.
 * @param maxCount maximum number of values
 * @throws FILE_NOT_FOUND; INVALID_FILE for more values or several dimensions; UNSUPPORTED_MODEL for an unexpected
 *   element type
 */
export async function readValues(tensor: TensorInfo, maxCount: number): Promise<number[]> {
  const { name, file, shape, strides } = tensor;
  const [count = 1, ...more] = shape;
  if (more.length > 0 || count > maxCount) {
    throw new SafelightError(
      'INVALID_FILE',
      `"${name}" in ${file} has shape ${formatShape(shape)}, expected a list of at most ${maxCount} numbers; the file contains another kind of model`,
    );
  }
  return readRun(tensor, 0, strides?.[0] ?? 1, count);
}

/**
 * Reads one row of a table `[N, D]`, such as the embedding of a class label.
 * @param row index from 0 to N - 1
 * @throws as `readValues`
 */
export async function readRow(tensor: TensorInfo, row: number): Promise<Float32Array> {
  const { name, file, shape, strides } = tensor;
  const [rows = 0, width = 0, ...more] = shape;
  if (more.length > 0 || row >= rows) {
    throw new SafelightError(
      'INVALID_FILE',
      `"${name}" in ${file} has shape ${formatShape(shape)}, expected a table with a row ${row}; the file contains another kind of model`,
    );
  }
  const [down = width, across = 1] = strides ?? [];
  return Float32Array.from(await readRun(tensor, row * down, across, width));
}

/**
 * Reads tensors of one number each (alphas of a LoRA), opening each file once.
 * @throws as `readValues`, INVALID_FILE for more than one number
 */
export async function readScalars(tensors: readonly TensorInfo[]): Promise<number[]> {
  const readers = tensors.map(({ name, file, shape, dtype }) => {
    if (shape.some((side) => side !== 1)) {
      throw new SafelightError(
        'INVALID_FILE',
        `"${name}" in ${file} has shape ${formatShape(shape)}, expected a single number; the file is damaged: download it again`,
      );
    }
    return readerOf(name, file, dtype);
  });
  const values = await readBytes(tensors.map((tensor, i) => ({ ...tensor, length: readers[i]!.bytes })));
  return values.map((bytes, i) => readers[i]!.read(new DataView(bytes.buffer), 0));
}

/** Reads the bytes of tensors, opening each file once. The caller limits their lengths. @throws as `readValues` */
export async function readBytes(tensors: readonly TensorInfo[]): Promise<Uint8Array<ArrayBuffer>[]> {
  await verifyTensors(tensors);
  const handles = new Map<string, FileHandle>();
  try {
    const values: Uint8Array<ArrayBuffer>[] = [];
    for (const { file, offset, length } of tensors) {
      const handle = handles.get(file) ?? (await openRegular(file)).handle;
      handles.set(file, handle);
      const bytes = new Uint8Array(length);
      try {
        await readFully(handle, bytes, offset, file);
      } catch (error) {
        throw fileError(file, error);
      }
      values.push(bytes);
    }
    return values;
  } finally {
    for (const handle of handles.values()) await handle.close();
  }
}

/** Reads `count` elements from index `first` on, with a distance of `stride` elements. */
async function readRun(tensor: TensorInfo, first: number, stride: number, count: number): Promise<number[]> {
  const { name, file, dtype, offset } = tensor;
  const reader = readerOf(name, file, dtype);
  await verifyTensors([tensor]);
  const bytes = new Uint8Array(count === 0 ? 0 : ((count - 1) * stride + 1) * reader.bytes);
  const { handle } = await openRegular(file);
  try {
    await readFully(handle, bytes, offset + first * reader.bytes, file);
  } catch (error) {
    throw fileError(file, error);
  } finally {
    await handle.close();
  }
  const view = new DataView(bytes.buffer);
  return Array.from({ length: count }, (_, i) => reader.read(view, i * stride * reader.bytes));
}

function readerOf(name: string, file: string, dtype: string): (typeof READERS)[string] {
  const reader = READERS[dtype];
  if (reader !== undefined) return reader;
  throw new SafelightError(
    'UNSUPPORTED_MODEL',
    `"${name}" in ${file} is stored as ${dtype}, which cannot be read as a list of numbers; use the model as published`,
  );
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function bfloatToNumber(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;
}
