import { SafelightError } from '../errors.js';
import { fileError, openRegular, readFully } from './files.js';
import { shown, type TensorInfo } from './tensor-index.js';

const READERS: Readonly<Record<string, (bytes: DataView, at: number) => number>> = {
  F64: (bytes, at) => bytes.getFloat64(at, true),
  F32: (bytes, at) => bytes.getFloat32(at, true),
  I64: (bytes, at) => Number(bytes.getBigInt64(at, true)),
  I32: (bytes, at) => bytes.getInt32(at, true),
  U8: (bytes, at) => bytes.getUint8(at),
};

/**
 * The values of a small tensor that decides something (a table of indices, a scalar); weights are read by C++.
 * @param most elements; more are an INVALID_FILE
 * @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL for an element type that such tensors do not have
 */
export async function readValues(tensor: TensorInfo, most: number): Promise<number[]> {
  const { name, file, dtype, shape, offset, length } = tensor;
  const read = READERS[dtype];
  if (read === undefined) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `"${name}" in ${file} is stored as ${dtype}, which cannot be read as a table of numbers; take the model as it was published`,
    );
  }
  const count = shape.reduce((product, side) => product * side, 1);
  if (count > most) {
    throw new SafelightError(
      'INVALID_FILE',
      `"${name}" in ${file} has shape ${shown(shape)}, where at most ${most} numbers are expected; the file holds another kind of model`,
    );
  }
  const bytes = new Uint8Array(length);
  const { handle } = await openRegular(file);
  try {
    await readFully(handle, bytes, offset, file);
  } catch (error) {
    throw fileError(file, error);
  } finally {
    await handle.close();
  }
  const view = new DataView(bytes.buffer);
  return Array.from({ length: count }, (_, i) => read(view, (i * length) / count));
}
