/** Options of grid jobs: those of all cells, and the axes. Must not import Node.js modules, because the web page uses it too. */
import { toJson } from '../../options/json.js';
import { type GridAxes, optionsAt, parseAxes, placeOf } from '../../pipelines/grid/axes.js';
import type { CellOptions } from '../../pipelines/grid/cell-options.js';
import type { JobOptions } from '../types.js';

/** A finished cell of an earlier job that a grid job takes over. */
export interface FinishedCell {
  readonly cell: number;
  /** Name of the job's input. */
  readonly file: string;
}

export interface GridParts {
  readonly axes: GridAxes;
  /** Options of all cells. */
  readonly options: JobOptions;
  /** Option `cells`. */
  readonly finished: readonly FinishedCell[];
  /** Id of the job that this one continues. */
  readonly continues?: string;
}

/** Splits the options of a grid job. */
export function gridParts({ x, y, z, cells, continues, ...options }: JobOptions): GridParts {
  const axes = Object.entries({ x, y, z }).filter(([, axis]) => typeof axis === 'string');
  return {
    axes: Object.fromEntries(axes) as GridAxes,
    options,
    finished: (cells ?? []) as unknown as readonly FinishedCell[],
    ...(typeof continues === 'string' ? { continues } : {}),
  };
}

/** Returns the options of a cell, as those of a job that generates only this image. @throws INVALID_OPTION */
export function optionsOfCell(job: JobOptions, cell: number): JobOptions {
  const { axes, options } = gridParts(job);
  const parsed = parseAxes(axes);
  const base = options as unknown as CellOptions & { readonly seed: number };
  const { count: _, ...single } = optionsAt(parsed, base, placeOf(parsed, cell));
  return toJson(single);
}
