/** Memory sizes of weight plans, and the rule by which weights stay in their mapped file. */
import type { StorageType, WeightPlanEntry } from '../../binding/types.js';
import { elementCount } from '../../tensor/shape.js';
import { isBlockType, storedBytes } from './storage.js';

/** Returns the bytes of a parameter in memory. */
export function entryBytes({ source, shape, storage }: WeightPlanEntry): number {
  const share = elementCount(shape) / elementCount(source.shape);
  if (storage.toUpperCase() === source.type && source.strides === undefined) return source.length * share;
  return storedBytes(elementCount(shape), storage as StorageType);
}

/** Returns true if the CPU backend can use the file's bytes in place. Must match `bytes_in_file` of the native code. */
export function staysInFile({ source, transform, storage }: WeightPlanEntry): boolean {
  const { type, offset, strides, length, shape } = source;
  const contiguous = transform === undefined || (transform.op === 'rows' && (transform.groups ?? 1) === 1);
  if (storage.toUpperCase() !== type || !contiguous || strides !== undefined) return false;
  return offset % (isBlockType(type) ? 2 : length / elementCount(shape)) === 0;
}
