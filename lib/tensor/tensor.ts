/**
 * A multi-dimensional array of numbers: inputs and outputs of modules, and intermediate results of samplers.
 *
 * A tensor does not copy its data: `data` is the typed array from which it was created, and writes to it are visible in
 * both. It is contiguous in C order (the last dimension varies fastest), the default order of PyTorch and NumPy.
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
  /** The values, not a copy. */
  readonly data: T;
  /** Sizes of the dimensions, such as `[1, 4, 64, 64]`: batch, channels, height, width. `[]` is a scalar. */
  readonly shape: readonly number[];

  /**
   * @throws INVALID_OPTION if `data` is not a supported typed array, SHAPE_MISMATCH if its length is not the product of
   *   the shape
   */
  constructor(data: T, shape: readonly number[]) {
    if (dtypeOf(data) === undefined) {
      throw invalidOption('data', 'a Float32Array, Float64Array, Int32Array or Uint8Array', data);
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

  /** Creates a tensor of `data` without copying it. @throws as the constructor */
  static from<T extends TensorData>(data: T, shape: readonly number[]): Tensor<T> {
    return new Tensor(data, shape);
  }

  /** Creates an f32 tensor of zeros. @throws INVALID_OPTION, OUT_OF_MEMORY */
  static zeros(shape: readonly number[]): Tensor {
    return new Tensor(zerosOf(Float32Array, sizeOf(shape)), shape);
  }

  /**
   * Concatenates tensors along dimension `dim`, as `torch.cat` and `numpy.concatenate`: `[B, C, h, w]` and `[B, D, h,
   * w]` result in `[B, C + D, h, w]` along dimension 1. Negative dimensions count from the end.
   *
   * @throws SHAPE_MISMATCH if other dimensions or the element types differ, INVALID_OPTION for an empty array and for
   *   scalars
   */
  static cat<T extends TensorData>(tensors: readonly Tensor<T>[], dim = 0): Tensor<T> {
    return wrapped(concatenate(checkTensors(tensors), dim));
  }

  /**
   * Stacks tensors of one shape along a new dimension `dim`, as `torch.stack` and `numpy.stack`: N tensors `[C, h, w]`
   * result in `[N, C, h, w]`, or in `[C, h, w, N]` for `dim` -1.
   *
   * @throws SHAPE_MISMATCH if shapes or element types differ, INVALID_OPTION for an empty array
   */
  static stack<T extends TensorData>(tensors: readonly Tensor<T>[], dim = 0): Tensor<T> {
    return wrapped(stack(checkTensors(tensors), dim));
  }

  /**
   * Parses the bytes of a `.npy` file. f2 and f4 are read as f32, f8 as f64, u1 and bool as u8, other integers as i32.
   * @throws INVALID_FILE
   */
  static fromNpy(bytes: Uint8Array): AnyTensor {
    if (!(bytes instanceof Uint8Array)) throw invalidOption('bytes', 'Uint8Array', bytes);
    const { data, shape } = parseNpy(bytes);
    return new Tensor<TensorData>(data, shape);
  }

  /** Returns the tensor as a `.npy` file (version 1.0), as `numpy.save` writes it. */
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

  /**
   * Returns a tensor of the same data with another shape; one dimension may be -1 and is inferred.
   * @throws INVALID_OPTION, SHAPE_MISMATCH
   */
  reshape(shape: readonly number[]): Tensor<T> {
    checkShapeArray(shape);
    const open = shape.indexOf(-1);
    if (open < 0) return new Tensor(this.data, shape);
    const product = sizeOf(shape.filter((_, i) => i !== open));
    const missing = product === 0 ? 0 : this.size / product;
    return new Tensor(
      this.data,
      shape.map((d, i) => (i === open ? missing : d)),
    );
  }

  /**
   * Returns the part at `index` of the first dimension, without copying: writes are visible in both.
   * @throws INVALID_OPTION
   */
  at(index: number): Tensor<T> {
    const [count, ...inner] = this.shape;
    if (count === undefined) throw invalidOption('index', 'a tensor of at least one dimension', index);
    const i = resolveIndex(index, count, 0);
    const stride = sizeOf(inner);
    return new Tensor(this.data.subarray(i * stride, (i + 1) * stride) as T, inner);
  }

  /**
   * Returns the part at `index` of dimension `dim`, without that dimension, as `torch.select`; negative numbers count
   * from the end. Shares memory like `at` if all dimensions before `dim` are 1; otherwise the elements are not
   * contiguous and are copied.
   *
   * @throws INVALID_OPTION
   */
  select(dim: number, index: number): Tensor<T> {
    const along = resolveDim(dim, this.shape.length);
    const i = resolveIndex(index, this.shape[along]!, along);
    const [outer, inner] = [this.shape.slice(0, along), this.shape.slice(along + 1)];
    if (outer.every((side) => side === 1)) {
      const stride = sizeOf(inner);
      return new Tensor(this.data.subarray(i * stride, (i + 1) * stride) as T, [...outer, ...inner]);
    }
    return this.slice(...outer.map(() => null), i);
  }

  /**
   * Repeats the tensor along each dimension in a copy, as `torch.Tensor.repeat` and `numpy.tile`: `[1, 4]` repeated
   * `(3, 1)` results in `[3, 4]`. Counts beyond the number of dimensions add leading dimensions.
   *
   * @throws INVALID_OPTION for fewer counts than dimensions, or counts that are not integers of at least 0
   */
  repeat(...counts: number[]): Tensor<T> {
    return wrapped(tile(this, counts));
  }

  /**
   * Copies a part, with one range per dimension; omitted dimensions are complete, negative numbers count from the end:
   * `latent.slice(0, null, [8, -8])` is the first image of a batch without its outer 8 rows.
   * @throws INVALID_OPTION
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

  /** Returns a copy with its own memory. */
  clone(): Tensor<T> {
    // A Buffer's slice() would share the memory.
    const copy = zerosLike(this.data, this.size);
    copy.set(this.data);
    return new Tensor(copy, this.shape);
  }

  /**
   * Returns minimum, maximum, mean and standard deviation of the finite elements, and the number of NaN and infinite
   * ones.
   */
  stats(): TensorStats {
    return statsOf(this.data);
  }

  /**
   * Counts the finite elements in `bins` equal parts of `range` (default the minimum and maximum of the data).
   * @throws INVALID_OPTION
   */
  histogram(bins = 64, range?: readonly [number, number]): Histogram {
    return histogramOf(this.data, bins, range);
  }

  /**
   * Renders the tensor: an RGB image for three channels, heat maps otherwise (see `RenderOptions`).
   * @throws INVALID_OPTION
   */
  toImage(options: RenderOptions = {}): RgbImage {
    knownKeys('options', options, new Set(['range', 'mode', 'scale']));
    return renderTensor(this.data, this.shape, options);
  }
}

function wrapped<T extends TensorData>({ data, shape }: ShapedArray<T>): Tensor<T> {
  return new Tensor(data, shape);
}

/** @throws INVALID_OPTION if `tensors` is not an array of tensors */
function checkTensors<T extends TensorData>(tensors: readonly Tensor<T>[]): readonly Tensor<T>[] {
  if (!Array.isArray(tensors)) throw invalidOption('tensors', 'an array of tensors', tensors);
  const wrong = tensors.findIndex((tensor) => !(tensor instanceof Tensor));
  if (wrong >= 0) throw invalidOption(`tensors[${wrong}]`, 'a Tensor', tensors[wrong]);
  return tensors;
}
