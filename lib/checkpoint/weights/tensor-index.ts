/** Where the bytes of one tensor are. */
export interface TensorInfo {
  /** Name in the file. */
  readonly name: string;
  /** Absolute path. */
  readonly file: string;
  /** Absolute byte offset in the file. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** As the file says it, such as `F16` or `I64`. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /**
   * Elements from one index to the next, a number a dimension, where they do not lie one after another (views in PyTorch's files);
   * `length` then reaches from the first to the last element.
   */
  readonly strides?: readonly number[];
  /** Of the bytes around it that its file has a CRC-32 for, where nobody has compared them yet. */
  readonly checksum?: Checksum;
}

export interface Checksum {
  /** Absolute offset in the file. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  readonly crc: number;
}

/** The tensors of one or several files by their names there, in the order of the header. */
export type TensorIndex = ReadonlyMap<string, TensorInfo>;

/** `[320, 4, 3, 3]` */
export function shown(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}
