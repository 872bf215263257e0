import type { WeightScale } from '../../binding/types.js';

/** The location, type and shape of a tensor in a file. */
export interface TensorInfo {
  /** Name in the file. */
  readonly name: string;
  /** Absolute path. */
  readonly file: string;
  /** Absolute byte offset in the file. */
  readonly offset: number;
  /** Length in bytes. */
  readonly length: number;
  /** Element type as the file states it, such as `F16` or `I64`. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /**
   * Distance in elements between consecutive indices of each dimension, for tensors that are not contiguous (views in
   * PyTorch files); `length` then spans the first to the last element.
   */
  readonly strides?: readonly number[];
  /** Checksum of the record around the tensor, if its file has one that is not verified yet. */
  readonly checksum?: Checksum;
  /** Scales by which its values are multiplied; `shape` and `dtype` are then those of the codes. */
  readonly scale?: TensorScale;
}

/** The scales of a tensor of codes, and the tensors that contain or describe them. */
export interface TensorScale extends WeightScale {
  readonly tensors: readonly TensorInfo[];
}

export interface Checksum {
  /** Absolute offset in the file. */
  readonly offset: number;
  /** Length in bytes. */
  readonly length: number;
  readonly crc: number;
}

/** Tensors of one or several files by name, in the order of the header. */
export type TensorIndex = ReadonlyMap<string, TensorInfo>;

/** Formats a shape for messages: `[320, 4, 3, 3]`. */
export function formatShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}
