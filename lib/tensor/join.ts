/** Copies parts of arrays into a new array, for `Tensor.cat`, `Tensor.stack`, `repeat` and `slice`. */
import { invalidOption, SafelightError } from '../errors.js';
import { dtypeOf, type TensorData, zerosLike } from './dtypes.js';
import { resolveDim, type Span, sizeOf } from './shape.js';

/** The data of a tensor in C order, and its shape. */
export interface ShapedArray<T extends TensorData> {
  readonly data: T;
  readonly shape: readonly number[];
}

/**
 * Concatenates arrays along an existing dimension.
 * @throws SHAPE_MISMATCH if another dimension or the element type differs, INVALID_OPTION
 */
export function concatenate<T extends TensorData>(
  parts: readonly ShapedArray<T>[],
  dim: number,
): ShapedArray<T> {
  const { shape } = firstOf(parts);
  const along = resolveDim(dim, shape.length);
  checkAlike(parts, along);
  const total = parts.reduce((sum, part) => sum + part.shape[along]!, 0);
  return interleave(parts, shape.slice(0, along), [total, ...shape.slice(along + 1)]);
}

/**
 * Stacks arrays of one shape along a new dimension.
 * @throws SHAPE_MISMATCH if shapes or element types differ, INVALID_OPTION
 */
export function stack<T extends TensorData>(parts: readonly ShapedArray<T>[], dim: number): ShapedArray<T> {
  const { shape } = firstOf(parts);
  const before = resolveDim(dim, shape.length + 1);
  checkAlike(parts);
  return interleave(parts, shape.slice(0, before), [parts.length, ...shape.slice(before)]);
}

/** Repeats an array along each dimension, as `torch.Tensor.repeat` and `numpy.tile`. @throws INVALID_OPTION */
export function tile<T extends TensorData>(
  { data, shape }: ShapedArray<T>,
  counts: readonly number[],
): ShapedArray<T> {
  if (counts.length < shape.length)
    throw invalidOption('counts', `at least one count for each of ${shape.length} dimensions`, counts);
  for (const count of counts) {
    if (!Number.isSafeInteger(count) || count < 0)
      throw invalidOption('counts', 'integers of at least 0', count);
  }
  const padded = [...counts.slice(shape.length).map(() => 1), ...shape];
  const repeated = padded.map((side, i) => side * counts[i]!);
  const out = zerosLike(data, sizeOf(repeated));
  const write = (dim: number, from: number, to: number): void => {
    const [inside, outside] = [sizeOf(padded.slice(dim + 1)), sizeOf(repeated.slice(dim + 1))];
    const side = padded[dim] ?? 1;
    if (dim >= padded.length - 1) out.set(data.subarray(from, from + side), to);
    else for (let i = 0; i < side; i++) write(dim + 1, from + i * inside, to + i * outside);
    // Copies within the result after the first write: elements of this dimension are contiguous.
    for (let k = 1; k < (counts[dim] ?? 1); k++)
      out.copyWithin(to + k * side * outside, to, to + side * outside);
  };
  if (out.length > 0) write(0, 0, 0);
  return { data: out, shape: repeated };
}

/** Copies a part of an array, with one span per dimension. */
export function cut<T extends TensorData>(
  { data, shape }: ShapedArray<T>,
  spans: readonly Span[],
): ShapedArray<T> {
  const out = zerosLike(
    data,
    spans.reduce((size, { start, end }) => size * (end - start), 1),
  );
  let written = 0;
  const copy = (dim: number, offset: number): void => {
    const span = spans[dim];
    if (span === undefined || dim === spans.length - 1) {
      const { start, end } = span ?? { start: 0, end: 1 };
      out.set(data.subarray(offset + start, offset + end), written);
      written += end - start;
      return;
    }
    const stride = sizeOf(shape.slice(dim + 1));
    for (let i = span.start; i < span.end; i++) copy(dim + 1, offset + i * stride);
  };
  if (out.length > 0) copy(0, 0);
  return { data: out, shape: spans.filter(({ dropped }) => !dropped).map(({ start, end }) => end - start) };
}

/** Copies the blocks of all parts next to each other, for each index of the outer dimensions. */
function interleave<T extends TensorData>(
  parts: readonly ShapedArray<T>[],
  outer: readonly number[],
  inner: readonly number[],
): ShapedArray<T> {
  const count = sizeOf(outer);
  const shape = [...outer, ...inner];
  const out = zerosLike(firstOf(parts).data, sizeOf(shape));
  const width = count === 0 ? 0 : out.length / count;
  let at = 0;
  for (const { data } of parts) {
    const block = count === 0 ? 0 : data.length / count;
    for (let i = 0; i < count; i++) out.set(data.subarray(i * block, (i + 1) * block), i * width + at);
    at += block;
  }
  return { data: out, shape };
}

function firstOf<T extends TensorData>(parts: readonly ShapedArray<T>[]): ShapedArray<T> {
  const [first] = parts;
  if (first === undefined) throw invalidOption('tensors', 'an array of at least one tensor', parts);
  return first;
}

/** @param except a dimension that may differ. @throws SHAPE_MISMATCH */
function checkAlike(parts: readonly ShapedArray<TensorData>[], except?: number): void {
  const first = firstOf(parts);
  for (const [i, part] of parts.entries()) {
    // Transferring memory to another thread leaves an empty array behind.
    if (part.data.length !== sizeOf(part.shape))
      throw new SafelightError(
        'SHAPE_MISMATCH',
        `Expected data for tensor ${i}, but its memory was transferred.`,
      );
    const alike =
      dtypeOf(part.data) === dtypeOf(first.data) &&
      part.shape.length === first.shape.length &&
      part.shape.every((side, dim) => dim === except || side === first.shape[dim]);
    if (alike) continue;
    const expected = first.shape.map((side, dim) => (dim === except ? 'any' : side));
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `Expected ${dtypeOf(first.data)} [${expected.join(', ')}], the type and shape of the first tensor, for tensor ${i}, received ${dtypeOf(part.data)} [${part.shape.join(', ')}].`,
    );
  }
}
