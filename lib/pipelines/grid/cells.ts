/** Cells of a grid: the options of each combination of values. */
import { randomInt } from 'node:crypto';
import { invalidOption } from '../../errors.js';
import { knownKeys } from '../../known-keys.js';
import { resolveOptions } from '../options.js';
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

/** Position of a cell: indices of its values. */
export interface CellPlace {
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

export interface PlannedCell extends CellPlace {
  readonly options: CellOptions;
}

export interface GridPlan {
  readonly x: Axis | undefined;
  readonly y: Axis | undefined;
  readonly z: Axis | undefined;
  /** Row by row, sheet by sheet. */
  readonly cells: readonly PlannedCell[];
  /** Seed of cells without their own. */
  readonly seed: number;
}

/** Most cells of a grid. */
export const MAX_CELLS = 1000;
const NAMES = ['x', 'y', 'z'] as const;
const AXES: ReadonlySet<string> = new Set(NAMES);

/**
 * Plans the cells of a grid and validates the options of each.
 * @param options of all cells; a random seed is drawn once, so that cells differ only in the axes' options
 * @throws INVALID_OPTION
 */
export function planGrid(options: CellOptions, axes: GridAxes): GridPlan {
  knownKeys('axes', axes, AXES);
  const [x, y, z] = NAMES.map((name) => (axes[name] === undefined ? undefined : parseAxis(name, axes[name])));
  checkDifferent([x, y, z]);
  if (options.count !== undefined && options.count !== 1)
    throw invalidOption('count', '1 for a grid, whose cells are single images', options.count);
  for (const name of ['prompt', 'negative'] as const)
    if (Array.isArray(options[name]))
      throw invalidOption(name, `a single text for a grid; use an axis ${name}=...`, options[name]);
  const sizes = [x, y, z].map((axis) => axis?.values.length ?? 1) as [number, number, number];
  const total = sizes[0] * sizes[1] * sizes[2];
  if (total > MAX_CELLS)
    throw invalidOption('axes', `at most ${MAX_CELLS} cells`, total, 'remove values or an axis');
  const seed = options.seed === undefined || options.seed === -1 ? randomInt(2 ** 32) : options.seed;
  const cells: PlannedCell[] = [];
  for (let k = 0; k < sizes[2]; k++)
    for (let j = 0; j < sizes[1]; j++)
      for (let i = 0; i < sizes[0]; i++) {
        const chosen = [
          { axis: x, index: i },
          { axis: y, index: j },
          { axis: z, index: k },
        ];
        let cell: CellOptions = { ...options, count: 1, seed };
        for (const late of [false, true])
          for (const { axis, index } of chosen)
            if (axis && axis.late === late) cell = axis.values[index]!.apply(cell);
        cells.push({ x: i, y: j, z: k, options: withSubseed(cell, seed) });
      }
  // The size of latents is checked once the model is known.
  for (const cell of cells) resolveOptions(cell.options, {}, 1);
  return { x, y, z, cells, seed };
}

/** Replaces a random seed of the variation noise by one that all cells share and that a resumed grid uses again. */
function withSubseed(cell: CellOptions, seed: number): CellOptions {
  const isRandom = cell.subseed === undefined || cell.subseed === -1;
  if (!isRandom || !cell.subseedStrength) return cell;
  return { ...cell, subseed: Math.imul(seed % 2 ** 32, 0x9e3779b1) >>> 0 };
}

function checkDifferent(axes: readonly (Axis | undefined)[]): void {
  const names = axes.flatMap((axis) => (axis ? [axis.name] : []));
  if (names.length === 0)
    throw invalidOption('axes', 'at least one of x, y and z (such as steps=4,8)', undefined);
  const twice = names.find((name, i) => name !== 'prompt-sr' && names.indexOf(name) !== i);
  if (twice !== undefined) throw invalidOption('axes', 'a different option for each axis', twice);
}
