/** Element types of tensors and their typed arrays. */
import { SafelightError } from '../errors.js';

export type TensorData = Float32Array | Float64Array | Int32Array | Uint8Array;
export type DType = 'f32' | 'f64' | 'i32' | 'u8';

/** Returns the element type of a typed array, undefined for other values. A Buffer is `u8`. */
export function dtypeOf(data: unknown): DType | undefined {
  if (data instanceof Float32Array) return 'f32';
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof Uint8Array) return 'u8';
  if (data instanceof Float64Array) return 'f64';
  return undefined;
}

/** Returns an array of zeros of the element type of `data`. @throws OUT_OF_MEMORY if the allocation fails */
export function zerosLike<T extends TensorData>(data: T, length: number): T {
  return zerosOf(ARRAYS[dtypeOf(data) ?? 'f32'], length) as T;
}

/** Returns an array of zeros. @throws OUT_OF_MEMORY if the allocation fails */
export function zerosOf<A>(Data: new (length: number) => A, length: number): A {
  try {
    return new Data(length);
  } catch (cause) {
    throw new SafelightError('OUT_OF_MEMORY', `Cannot allocate a tensor of ${length} elements`, { cause });
  }
}

const ARRAYS: Readonly<Record<DType, new (length: number) => TensorData>> = {
  f32: Float32Array,
  f64: Float64Array,
  i32: Int32Array,
  u8: Uint8Array,
};
