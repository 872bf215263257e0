/**
 * Windows over pictures of more codes than the model can look at (Esser et al. 2021, section 3.3; taming's
 * scripts/sample_conditional.py): each code is seen from a window around it that stays inside of the picture.
 */
import { invalidOption } from '../../errors.js';
import { knownKeys } from '../../known-keys.js';

/** A code's window, in codes of the picture, and where in it the code is. */
export interface Window {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
  /** The code's place in the window, row by row. */
  readonly index: number;
}

export interface WindowSideOptions {
  /** Places the model looks at. */
  readonly block: number;
  /** `grid`: each window has as many codes of the condition before it; `tokens`: few, such as a class. */
  readonly condition: 'grid' | 'tokens';
  /** Side of the pictures that the model was trained on, in codes: a window of another side is nothing that it knows. */
  readonly trained?: number | undefined;
}

/**
 * The side of windows that the model can look at: √(block / 2) under a condition of as many codes, else √block. The last code is never
 * read, so that a block of 2 s² - 1 is enough for a side of s.
 */
export function windowSide(options: WindowSideOptions): number {
  knownKeys('options', options, new Set(['block', 'condition', 'trained']));
  const { block, condition, trained = Infinity } = options;
  if (!(Number.isSafeInteger(block) && block >= 1))
    throw invalidOption('block', 'integer of at least 1', block);
  if (condition !== 'grid' && condition !== 'tokens')
    throw invalidOption('condition', 'grid or tokens', condition);
  if (!(typeof trained === 'number' && trained >= 1))
    throw invalidOption('trained', 'number of at least 1', trained);
  const codes = condition === 'grid' ? Math.floor((block + 1) / 2) : block;
  return Math.max(1, Math.min(trained, Math.floor(Math.sqrt(codes))));
}

/**
 * The window of the code at `place`, counted row by row. A side of the picture that is no longer than the window's is all of it.
 */
export function windowAt(place: number, height: number, width: number, side: number): Window {
  const row = Math.floor(place / width);
  const column = place % width;
  const h = Math.min(side, height);
  const w = Math.min(side, width);
  const localRow = local(row, height, h);
  const localColumn = local(column, width, w);
  return {
    top: row - localRow,
    left: column - localColumn,
    height: h,
    width: w,
    index: localRow * w + localColumn,
  };
}

/** The codes of a picture, row by row, that are in a window, row by row. */
export function cropGrid(codes: Int32Array, width: number, window: Window): Int32Array {
  const out = new Int32Array(window.height * window.width);
  for (let row = 0; row < window.height; row++) {
    const from = (window.top + row) * width + window.left;
    out.set(codes.subarray(from, from + window.width), row * window.width);
  }
  return out;
}

/** @throws INVALID_OPTION */
export function checkSides(sides: Readonly<Record<string, number>>): void {
  for (const [name, side] of Object.entries(sides)) {
    if (!(Number.isInteger(side) && side >= 1 && side <= 65536)) {
      throw invalidOption(name, 'integer between 1 and 65536', side);
    }
  }
}

/** In the middle, except where the window would leave the picture. */
function local(at: number, size: number, side: number): number {
  const half = Math.floor(side / 2);
  if (at <= half) return at;
  return size - at < side - half ? side - (size - at) : half;
}
