/** Shapes, and indices and ranges that select parts of them. */
import { invalidOption } from '../errors.js';

/** NumPy's limit. */
const MAX_DIMENSIONS = 32;

/**
 * An index (drops the dimension), a range [start, end) in which `null` stands for the respective edge, or `null` for
 * the complete dimension.
 */
export type Range = number | readonly [start: number | null, end?: number | null] | null;

/** A resolved range [start, end) of a dimension; `dropped` for an index. */
export interface Span {
  readonly start: number;
  readonly end: number;
  readonly dropped: boolean;
}

/** Returns the number of elements of a shape that is known to be valid. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}

/**
 * Checks a shape and returns its number of elements.
 * @throws INVALID_OPTION if a dimension is not an integer >= 0, or the product is not exact
 */
export function sizeOf(shape: readonly number[]): number {
  checkShapeArray(shape);
  let size = 1;
  for (const dim of shape) {
    if (!Number.isSafeInteger(dim) || dim < 0) throw invalidOption('shape', 'integers of at least 0', dim);
    size *= dim;
  }
  if (!Number.isSafeInteger(size)) throw invalidOption('shape', 'a shape of fewer than 2^53 elements', size);
  return size;
}

/** @throws INVALID_OPTION if `shape` is not an array, or has more than 32 dimensions */
export function checkShapeArray(shape: unknown): void {
  if (!Array.isArray(shape)) throw invalidOption('shape', 'an array of integers', shape);
  if (shape.length > MAX_DIMENSIONS)
    throw invalidOption('shape', `at most ${MAX_DIMENSIONS} dimensions`, shape);
}

/** Returns the index of dimension `dim` of `rank`, where -1 is the last. @throws INVALID_OPTION */
export function resolveDim(dim: number, rank: number): number {
  const resolved = typeof dim === 'number' && dim < 0 ? dim + rank : dim;
  if (rank === 0) throw invalidOption('dim', 'a tensor of at least one dimension', dim);
  if (!Number.isInteger(resolved) || resolved < 0 || resolved >= rank)
    throw invalidOption('dim', `an integer between ${-rank} and ${rank - 1}`, dim);
  return resolved;
}

/** Returns a non-negative index. @throws INVALID_OPTION for an index outside the dimension */
export function resolveIndex(index: number, length: number, dim: number): number {
  const i = typeof index === 'number' && index < 0 ? index + length : index;
  if (!Number.isInteger(i) || i < 0 || i >= length) {
    throw invalidOption(
      `index of dimension ${dim}`,
      `an integer between ${-length} and ${length - 1}`,
      index,
    );
  }
  return i;
}

/** Returns the span of a range; bounds outside the dimension are clamped, as in NumPy. @throws INVALID_OPTION */
export function resolveRange(range: Range, length: number, dim: number): Span {
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
