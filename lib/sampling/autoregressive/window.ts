/**
 * Sliding windows for images with more codes than the model's block size (Esser et al. 2021, section 3.3; taming's
 * scripts/sample_conditional.py): each code has a window around it, clamped to the image.
 */
import { invalidOption } from '../../errors.js';
import { knownKeys } from '../../known-keys.js';

/** Window of a code, in code coordinates of the image. */
export interface Window {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
  /** Position of the code in the window, row by row. */
  readonly index: number;
}

export interface WindowSideOptions {
  /** Block size of the model in positions. */
  readonly block: number;
  /**
   * Condition that precedes the window: `grid` has one code per code of the window, `tokens` a few, such as a class.
   */
  readonly condition: 'grid' | 'tokens';
  /** Side of the training images in codes, which the result does not exceed. Default: no limit. */
  readonly trained?: number | undefined;
}

/**
 * Returns the largest window side for a model: √(block / 2) with a `grid` condition, otherwise √block. The last code
 * is not fed back into the model, so a block of 2 s² - 1 suffices for a side of s.
 * @throws INVALID_OPTION
 */
export function windowSide(options: WindowSideOptions): number {
  knownKeys('options', options, new Set(['block', 'condition', 'trained']));
  const { block, condition, trained = Infinity } = options;
  if (!(Number.isSafeInteger(block) && block >= 1))
    throw invalidOption('block', 'an integer of at least 1', block);
  if (condition !== 'grid' && condition !== 'tokens')
    throw invalidOption('condition', "'grid' or 'tokens'", condition);
  if (!(typeof trained === 'number' && trained >= 1))
    throw invalidOption('trained', 'a number of at least 1', trained);
  const codes = condition === 'grid' ? Math.floor((block + 1) / 2) : block;
  return Math.max(1, Math.min(trained, Math.floor(Math.sqrt(codes))));
}

/** Returns the window of the code at `position`, counted row by row. A window is no larger than the image. */
export function windowAt(position: number, height: number, width: number, side: number): Window {
  const row = Math.floor(position / width);
  const column = position % width;
  const h = Math.min(side, height);
  const w = Math.min(side, width);
  const localRow = offsetInWindow(row, height, h);
  const localColumn = offsetInWindow(column, width, w);
  return {
    top: row - localRow,
    left: column - localColumn,
    height: h,
    width: w,
    index: localRow * w + localColumn,
  };
}

/** Crops the codes of an image to a window; both row by row. */
export function cropGrid(codes: Int32Array, width: number, window: Window): Int32Array {
  const out = new Int32Array(window.height * window.width);
  for (let row = 0; row < window.height; row++) {
    const from = (window.top + row) * width + window.left;
    out.set(codes.subarray(from, from + window.width), row * window.width);
  }
  return out;
}

/** Checks that each side is an integer from 1 to 65536. @throws INVALID_OPTION */
export function checkSides(sides: Readonly<Record<string, number>>): void {
  for (const [name, side] of Object.entries(sides)) {
    if (!(Number.isInteger(side) && side >= 1 && side <= 65536)) {
      throw invalidOption(name, 'an integer between 1 and 65536', side);
    }
  }
}

/** Returns the offset of a coordinate in its window: the centre, except near the edges of the image. */
function offsetInWindow(coordinate: number, size: number, side: number): number {
  const half = Math.floor(side / 2);
  if (coordinate <= half) return coordinate;
  return size - coordinate < side - half ? side - (size - coordinate) : half;
}
