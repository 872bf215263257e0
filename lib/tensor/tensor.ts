/**
 * An array of numbers with a shape: what goes into a module, what comes out, what a step of a sampler shows.
 *
 * A tensor owns no memory of its own: `data` is the typed array it was made from, so writing into it writes through. It is
 * contiguous, in C order (the last dimension varies fastest), which is also PyTorch's and NumPy's default.
 */
import { invalidOption, SafelightError } from '../errors.js';
import { knownKeys } from '../known-keys.js';
import { type DType, dtypeOf, type TensorData, zerosLike, zerosOf } from './dtypes.js';
import { concatenate, cut, type ShapedArray, stack, tile } from './join.js';
import { parseNpy, writeNpy } from './npy.js';
import { type RenderOptions, type RgbImage, renderTensor } from './render.js';
import { checkShapeArray, type Range, resolveDim, resolveIndex, resolveRange, sizeOf } from './shape.js';
import { type Histogram, histogramOf, statsOf, type TensorStats } from './stats.js';

export type { DType, TensorData } from './dtypes.js';
export type { Range } from './shape.js';

/** A tensor of any element type. */
export type AnyTensor = Tensor<TensorData>;

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

  /**
   * Joins tensors along dimension `dim` in a new one, as `torch.cat` and `numpy.concatenate` do: `[B, C, h, w]` and `[B, D, h, w]` give
   * `[B, C + D, h, w]` along dimension 1. Negative dimensions count from the end.
   *
   * @throws SHAPE_MISMATCH unless the other dimensions and the element types are equal, INVALID_OPTION for no tensors and for single numbers
   */
  static cat<T extends TensorData>(tensors: readonly Tensor<T>[], dim = 0): Tensor<T> {
    return wrapped(concatenate(checkTensors(tensors), dim));
  }

  /**
   * Joins tensors of one shape along a new dimension that becomes dimension `dim`, as `torch.stack` and `numpy.stack` do: N of `[C, h, w]`
   * give `[N, C, h, w]`, or `[C, h, w, N]` for `dim` -1.
   *
   * @throws SHAPE_MISMATCH unless shapes and element types are equal, INVALID_OPTION for no tensors
   */
  static stack<T extends TensorData>(tensors: readonly Tensor<T>[], dim = 0): Tensor<T> {
    return wrapped(stack(checkTensors(tensors), dim));
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
   * The part at `index` of dimension `dim`, without that dimension, as `torch.select` gives it; negative numbers count from the end. It
   * shares this tensor's memory, as `at` does, if all dimensions before `dim` are 1; otherwise its elements lie apart, and it is a copy.
   *
   * @throws INVALID_OPTION
   */
  select(dim: number, index: number): Tensor<T> {
    const along = resolveDim(dim, this.shape.length);
    const i = resolveIndex(index, this.shape[along]!, along);
    const [outer, rest] = [this.shape.slice(0, along), this.shape.slice(along + 1)];
    if (outer.every((side) => side === 1)) {
      const stride = sizeOf(rest);
      return new Tensor(this.data.subarray(i * stride, (i + 1) * stride) as T, [...outer, ...rest]);
    }
    return this.slice(...outer.map(() => null), i);
  }

  /**
   * Repeats the whole tensor along each dimension in a new one, as `torch.Tensor.repeat` and `numpy.tile` do: `[1, 4]` repeated
   * `(3, 1)` is `[3, 4]`. Counts beyond the number of dimensions add dimensions in front.
   *
   * @throws INVALID_OPTION for fewer counts than dimensions, or counts that are not whole numbers of at least 0
   */
  repeat(...counts: number[]): Tensor<T> {
    return wrapped(tile(this, counts));
  }

  /**
   * A copy of a part, one range a dimension; dimensions left out are taken whole, negative numbers count from the end:
   * `latent.slice(0, null, [8, -8])` is the first picture without its outer rows.
   */
  slice(...ranges: Range[]): Tensor<T> {
    if (ranges.length > this.shape.length) {
      throw invalidOption('ranges', `at most ${this.shape.length} ranges`, ranges);
    }
    return wrapped(
      cut(
        this,
        this.shape.map((length, dim) => resolveRange(ranges[dim] ?? null, length, dim)),
      ),
    );
  }

  /** A copy with its own memory. */
  clone(): Tensor<T> {
    // Of a Buffer, slice() would share the memory.
    const copy = zerosLike(this.data, this.size);
    copy.set(this.data);
    return new Tensor(copy, this.shape);
  }

  /** Extremes, mean and standard deviation of the finite elements, and how many are not. */
  stats(): TensorStats {
    return statsOf(this.data);
  }

  /** How many finite elements fall in each of `bins` equal parts of `range` (default: the data's own extremes). */
  histogram(bins = 64, range?: readonly [number, number]): Histogram {
    return histogramOf(this.data, bins, range);
  }

  /** A picture to look at: RGB for three channels, heat maps for everything else (see `RenderOptions`). */
  toImage(options: RenderOptions = {}): RgbImage {
    knownKeys('options', options, new Set(['range', 'mode', 'scale']));
    return renderTensor(this.data, this.shape, options);
  }
}

function wrapped<T extends TensorData>({ data, shape }: ShapedArray<T>): Tensor<T> {
  return new Tensor(data, shape);
}

/** @throws INVALID_OPTION for what is no list of tensors */
function checkTensors<T extends TensorData>(tensors: readonly Tensor<T>[]): readonly Tensor<T>[] {
  if (!Array.isArray(tensors)) throw invalidOption('tensors', 'an array of tensors', tensors);
  const wrong = tensors.findIndex((tensor) => !(tensor instanceof Tensor));
  if (wrong >= 0) throw invalidOption(`tensors[${wrong}]`, 'a Tensor', tensors[wrong]);
  return tensors;
}
