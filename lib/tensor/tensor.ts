/**
 * An array of numbers with a shape: what goes into a module, what comes out, what a step of a sampler shows.
 *
 * A tensor owns no memory of its own: `data` is the typed array it was made from, so writing into it writes through. It is
 * contiguous, in C order (the last dimension varies fastest), which is also PyTorch's and NumPy's default.
 */
import { invalidOption, SafelightError } from '../errors.js';
import { knownKeys } from '../known-keys.js';
import { parseNpy, writeNpy } from './npy.js';
import { drawTensor, type PictureOptions, type RgbImage } from './picture.js';
import { type Histogram, histogramOf, statsOf, type TensorStats } from './stats.js';

/** As many as NumPy knows. */
const MAX_DIMENSIONS = 32;

export type TensorData = Float32Array | Float64Array | Int32Array | Uint8Array;
export type DType = 'f32' | 'f64' | 'i32' | 'u8';
const ARRAYS = { f32: Float32Array, f64: Float64Array, i32: Int32Array, u8: Uint8Array } as const;

/** A tensor of any element type. */
export type AnyTensor = Tensor<TensorData>;

/** An index (the dimension is dropped), `[start, end)` with `null` for "to that side's edge", or `null` for all of it. */
export type Range = number | readonly [start: number | null, end?: number | null] | null;

export class Tensor<T extends TensorData = Float32Array> {
  /** The numbers themselves, not a copy. */
  readonly data: T;
  /** For example `[1, 4, 64, 64]`: batch, channels, height, width. `[]` is a single number. */
  readonly shape: readonly number[];

  /** @throws INVALID_OPTION if the data is no typed array of a known type, SHAPE_MISMATCH if its length is not the shape's product. */
  constructor(data: T, shape: readonly number[]) {
    if (dtypeOf(data) === undefined) {
      throw invalidOption('data', 'Float32Array, Float64Array, Int32Array or Uint8Array', data);
    }
    const size = sizeOf(shape);
    if (data.length !== size) {
      throw new SafelightError(
        'SHAPE_MISMATCH',
        `A tensor of shape [${shape.join(', ')}] has ${size} elements but its data has ${data.length}`,
      );
    }
    this.data = data;
    this.shape = Object.freeze([...shape]);
  }

  /** Wraps `data` without copying it. */
  static from<T extends TensorData>(data: T, shape: readonly number[]): Tensor<T> {
    return new Tensor(data, shape);
  }

  /** A new f32 tensor of zeros. */
  static zeros(shape: readonly number[]): Tensor {
    return new Tensor(zerosOf(Float32Array, sizeOf(shape)), shape);
  }

  /** Reads a `.npy` file's bytes (see `parseNpy` for what is read and refused). */
  static fromNpy(bytes: Uint8Array): AnyTensor {
    if (!(bytes instanceof Uint8Array)) throw invalidOption('bytes', 'Uint8Array', bytes);
    const { data, shape } = parseNpy(bytes);
    return new Tensor<TensorData>(data, shape);
  }

  /** The tensor as a `.npy` file (version 1.0), as `numpy.save` writes it. */
  toNpy(): Uint8Array<ArrayBuffer> {
    return writeNpy(this.data, this.shape);
  }

  get dtype(): DType {
    return dtypeOf(this.data) as DType;
  }

  /** Number of elements. */
  get size(): number {
    return this.data.length;
  }

  /** The same data seen with another shape; one dimension may be -1 and is worked out. */
  reshape(shape: readonly number[]): Tensor<T> {
    checkShapeArray(shape);
    const open = shape.indexOf(-1);
    if (open < 0) return new Tensor(this.data, shape);
    const known = sizeOf(shape.filter((_, i) => i !== open));
    const missing = known === 0 ? 0 : this.size / known;
    return new Tensor(
      this.data,
      shape.map((d, i) => (i === open ? missing : d)),
    );
  }

  /** The `index`th part along the first dimension, without copying: writing into it writes into this tensor. */
  at(index: number): Tensor<T> {
    const [count, ...rest] = this.shape;
    if (count === undefined) throw invalidOption('index', 'a tensor of at least one dimension', index);
    const i = resolveIndex(index, count, 0);
    const stride = sizeOf(rest);
    return new Tensor(this.data.subarray(i * stride, (i + 1) * stride) as T, rest);
  }

  /**
   * A copy of a part, one range a dimension; dimensions left out are taken whole, negative numbers count from the end:
   * `latent.slice(0, null, [8, -8])` is the first picture without its outer rows.
   */
  slice(...ranges: Range[]): Tensor<T> {
    if (ranges.length > this.shape.length) {
      throw invalidOption('ranges', `at most ${this.shape.length} ranges`, ranges);
    }
    const spans = this.shape.map((length, dim) => resolveRange(ranges[dim] ?? null, length, dim));
    const shape = spans.filter((s) => !s.dropped).map((s) => s.end - s.start);
    const out = zerosOf(
      ARRAYS[this.dtype] as new (
        length: number,
      ) => TensorData,
      spans.reduce((n, s) => n * (s.end - s.start), 1),
    ) as T;
    let written = 0;
    const copy = (dim: number, offset: number): void => {
      const span = spans[dim];
      if (span === undefined || dim === spans.length - 1) {
        const part = span
          ? this.data.subarray(offset + span.start, offset + span.end)
          : this.data.subarray(offset, offset + 1);
        out.set(part, written);
        written += part.length;
        return;
      }
      const stride = sizeOf(this.shape.slice(dim + 1));
      for (let i = span.start; i < span.end; i++) copy(dim + 1, offset + i * stride);
    };
    if (out.length > 0) copy(0, 0);
    return new Tensor(out, shape);
  }

  /** A copy with its own memory. */
  clone(): Tensor<T> {
    // Of a Buffer, slice() would share the memory.
    return new Tensor(new ARRAYS[this.dtype](this.data) as T, this.shape);
  }

  /** Extremes, mean and standard deviation of the finite elements, and how many are not. */
  stats(): TensorStats {
    return statsOf(this.data);
  }

  /** How many finite elements fall in each of `bins` equal parts of `range` (default: the data's own extremes). */
  histogram(bins = 64, range?: readonly [number, number]): Histogram {
    return histogramOf(this.data, bins, range);
  }

  /** A picture to look at: RGB for three channels, heat maps for everything else (see `PictureOptions`). */
  toImage(options: PictureOptions = {}): RgbImage {
    knownKeys('options', options, new Set(['range', 'mode', 'scale']));
    return drawTensor(this.data, this.shape, options);
  }
}

/** The product of a shape. @throws INVALID_OPTION unless every dimension is a whole number >= 0 and the product is exact. */
export function sizeOf(shape: readonly number[]): number {
  checkShapeArray(shape);
  let size = 1;
  for (const dim of shape) {
    if (!Number.isSafeInteger(dim) || dim < 0)
      throw invalidOption('shape', 'whole numbers of at least 0', dim);
    size *= dim;
  }
  if (!Number.isSafeInteger(size)) throw invalidOption('shape', 'fewer than 2^53 elements', size);
  return size;
}

/** @throws OUT_OF_MEMORY for more than JavaScript can allocate */
function zerosOf<A>(Data: new (length: number) => A, length: number): A {
  try {
    return new Data(length);
  } catch (cause) {
    throw new SafelightError('OUT_OF_MEMORY', `Cannot allocate a tensor of ${length} elements`, { cause });
  }
}

function checkShapeArray(shape: unknown): void {
  if (!Array.isArray(shape)) throw invalidOption('shape', 'an array of whole numbers', shape);
  if (shape.length > MAX_DIMENSIONS)
    throw invalidOption('shape', `at most ${MAX_DIMENSIONS} dimensions`, shape);
}

function dtypeOf(data: unknown): DType | undefined {
  if (data instanceof Float32Array) return 'f32';
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof Uint8Array) return 'u8';
  if (data instanceof Float64Array) return 'f64';
  return undefined;
}

function resolveIndex(index: number, length: number, dim: number): number {
  const i = typeof index === 'number' && index < 0 ? index + length : index;
  if (!Number.isInteger(i) || i < 0 || i >= length) {
    throw invalidOption(`index of dimension ${dim}`, `integer between ${-length} and ${length - 1}`, index);
  }
  return i;
}

function resolveRange(
  range: Range,
  length: number,
  dim: number,
): { start: number; end: number; dropped: boolean } {
  if (typeof range === 'number') {
    const start = resolveIndex(range, length, dim);
    return { start, end: start + 1, dropped: true };
  }
  if (range !== null && (!Array.isArray(range) || range.length > 2))
    throw invalidOption(`range of dimension ${dim}`, 'an index, [start, end] or null', range);
  const edge = (value: number | null | undefined, fallback: number): number => {
    if (value === null || value === undefined) return fallback;
    if (!Number.isInteger(value)) throw invalidOption(`range of dimension ${dim}`, 'integers', value);
    return Math.min(Math.max(value < 0 ? value + length : value, 0), length);
  };
  const start = edge(range?.[0], 0);
  return { start, end: Math.max(start, edge(range?.[1], length)), dropped: false };
}
