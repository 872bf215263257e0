/** Shapes, and the indices and ranges that select parts of them. */
import { invalidOption } from '../errors.js';

/** As many as NumPy knows. */
const MAX_DIMENSIONS = 32;

/** An index (the dimension is dropped), `[start, end)` with `null` for "to that side's edge", or `null` for all of it. */
export type Range = number | readonly [start: number | null, end?: number | null] | null;

/** A range in numbers: `[start, end)` of a dimension, which an index drops. */
export interface Span {
  readonly start: number;
  readonly end: number;
  readonly dropped: boolean;
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

/** @throws INVALID_OPTION for what is no array, and for more dimensions than NumPy knows */
export function checkShapeArray(shape: unknown): void {
  if (!Array.isArray(shape)) throw invalidOption('shape', 'an array of whole numbers', shape);
  if (shape.length > MAX_DIMENSIONS)
    throw invalidOption('shape', `at most ${MAX_DIMENSIONS} dimensions`, shape);
}

/** Returns which of `rank` dimensions `dim` names, -1 being the last. @throws INVALID_OPTION */
export function resolveDim(dim: number, rank: number): number {
  const resolved = typeof dim === 'number' && dim < 0 ? dim + rank : dim;
  if (rank === 0) throw invalidOption('dim', 'a tensor of at least one dimension', dim);
  if (!Number.isInteger(resolved) || resolved < 0 || resolved >= rank)
    throw invalidOption('dim', `integer between ${-rank} and ${rank - 1}`, dim);
  return resolved;
}

/** @throws INVALID_OPTION for an index beyond the dimension's length */
export function resolveIndex(index: number, length: number, dim: number): number {
  const i = typeof index === 'number' && index < 0 ? index + length : index;
  if (!Number.isInteger(i) || i < 0 || i >= length) {
    throw invalidOption(`index of dimension ${dim}`, `integer between ${-length} and ${length - 1}`, index);
  }
  return i;
}

/** Bounds beyond the dimension are moved to its edges, as NumPy does. @throws INVALID_OPTION */
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
