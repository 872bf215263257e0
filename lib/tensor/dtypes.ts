/** Element types of tensors and the typed arrays that hold them. */
import { SafelightError } from '../errors.js';

export type TensorData = Float32Array | Float64Array | Int32Array | Uint8Array;
export type DType = 'f32' | 'f64' | 'i32' | 'u8';

/** Returns the element type of a typed array, undefined for anything else. A Buffer is `u8`. */
export function dtypeOf(data: unknown): DType | undefined {
  if (data instanceof Float32Array) return 'f32';
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof Uint8Array) return 'u8';
  if (data instanceof Float64Array) return 'f64';
  return undefined;
}

/** A new array of zeros of the element type of `data`. @throws OUT_OF_MEMORY for more than JavaScript can allocate */
export function zerosLike<T extends TensorData>(data: T, length: number): T {
  return zerosOf(ARRAYS[dtypeOf(data) ?? 'f32'], length) as T;
}

/** @throws OUT_OF_MEMORY for more than JavaScript can allocate */
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
