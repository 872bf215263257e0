/** What the weights of a plan take, and which of them can be used where they lie. */
import type { StorageType, WeightPlanEntry } from '../../binding/types.js';
import { isBlockType, storedBytes } from './storage.js';

/** Bytes of a parameter as it is kept. */
export function entryBytes({ source, shape, storage }: WeightPlanEntry): number {
  const share = count(shape) / count(source.shape);
  if (storage.toUpperCase() === source.type && source.strides === undefined) return source.length * share;
  return storedBytes(count(shape), storage as StorageType);
}

/** Whether the CPU can compute with the file's bytes; the native side (`bytes_in_file`) decides by the same rule. */
export function staysInFile({ source, transform, storage }: WeightPlanEntry): boolean {
  const { type, offset, strides, length, shape } = source;
  const whole = transform === undefined || (transform.op === 'rows' && (transform.groups ?? 1) === 1);
  if (storage.toUpperCase() !== type || !whole || strides !== undefined) return false;
  return offset % (isBlockType(type) ? 2 : length / count(shape)) === 0;
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}
