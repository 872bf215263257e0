/** The axes of a grid, and the options of each cell. Must not import Node.js modules, because the web page uses it too. */
import { invalidOption } from '../../errors.js';
import { knownKeys } from '../../known-keys.js';
import { type Axis, type GridAxis, parseAxis } from './axis.js';
import type { CellOptions } from './cell-options.js';

export interface GridAxes {
  /** Columns of a sheet. */
  readonly x?: GridAxis;
  /** Rows of a sheet. */
  readonly y?: GridAxis;
  /** Sheets, one below the other. */
  readonly z?: GridAxis;
}

export interface ParsedAxes {
  readonly x: Axis | undefined;
  readonly y: Axis | undefined;
  readonly z: Axis | undefined;
}

/** Position of a cell: indices of its values. */
export interface CellPlace {
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

/** Most cells of a grid. */
export const MAX_CELLS = 1000;
export const axisNames = ['x', 'y', 'z'] as const;
const AXES: ReadonlySet<string> = new Set(axisNames);

/**
 * Parses the axes of a grid.
 * @param maxCells most cells that the caller accepts
 * @throws INVALID_OPTION
 */
export function parseAxes(axes: GridAxes, maxCells = MAX_CELLS): ParsedAxes {
  knownKeys('axes', axes, AXES);
  const [x, y, z] = axisNames.map((name) =>
    axes[name] === undefined ? undefined : parseAxis(name, axes[name]),
  );
  checkDifferent([x, y, z]);
  const parsed = { x, y, z };
  const total = cellCount(parsed);
  if (total > maxCells)
    throw invalidOption('axes', `at most ${maxCells} cells`, total, 'remove values or an axis');
  return parsed;
}

function checkDifferent(axes: readonly (Axis | undefined)[]): void {
  const names = axes.flatMap((axis) => (axis ? [axis.name] : []));
  if (names.length === 0)
    throw invalidOption('axes', 'at least one of x, y and z (such as steps=4,8)', undefined);
  const twice = names.find((name, i) => name !== 'prompt-sr' && names.indexOf(name) !== i);
  if (twice !== undefined) throw invalidOption('axes', 'a different option for each axis', twice);
}

/** Returns the numbers of columns, rows and sheets. */
export function sizesOf({ x, y, z }: ParsedAxes): [columns: number, rows: number, sheets: number] {
  return [x?.values.length ?? 1, y?.values.length ?? 1, z?.values.length ?? 1];
}

export function cellCount(axes: ParsedAxes): number {
  return sizesOf(axes).reduce((product, size) => product * size);
}

/** Returns the place of a cell by its number: from 0, row by row, sheet by sheet. */
export function placeOf(axes: ParsedAxes, index: number): CellPlace {
  const [columns, rows] = sizesOf(axes);
  return {
    x: index % columns,
    y: Math.floor(index / columns) % rows,
    z: Math.floor(index / (columns * rows)),
  };
}

/** Returns the number of the cell at a place. */
export function indexOf(axes: ParsedAxes, { x, y, z }: CellPlace): number {
  const [columns, rows] = sizesOf(axes);
  return (z * rows + y) * columns + x;
}

/**
 * Returns the options of a cell. Changes of the prompt apply after all options.
 * @param options of all cells, with the seed of those without their own
 * @throws INVALID_OPTION
 */
export function optionsAt(
  axes: ParsedAxes,
  options: CellOptions & { readonly seed: number },
  place: CellPlace,
): CellOptions {
  let cell: CellOptions = { ...options, count: 1 };
  for (const late of [false, true])
    for (const name of axisNames) {
      const axis = axes[name];
      if (axis && axis.late === late) cell = axis.values[place[name]]!.apply(cell);
    }
  return withSubseed(cell, options.seed);
}

/** Replaces a random seed of the variation noise by one that all cells share and that a resumed grid uses again. */
function withSubseed(cell: CellOptions, seed: number): CellOptions {
  const isRandom = cell.subseed === undefined || cell.subseed === -1;
  if (!isRandom || !cell.subseedStrength) return cell;
  return { ...cell, subseed: Math.imul(seed % 2 ** 32, 0x9e3779b1) >>> 0 };
}
