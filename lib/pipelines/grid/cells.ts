/** Cells of a grid, validated before anything is generated. */
import { randomInt } from 'node:crypto';
import { invalidOption } from '../../errors.js';
import { resolveOptions } from '../options.js';
import {
  type CellPlace,
  cellCount,
  type GridAxes,
  MAX_CELLS,
  optionsAt,
  type ParsedAxes,
  parseAxes,
  placeOf,
} from './axes.js';
import type { CellOptions } from './cell-options.js';

export interface PlannedCell extends CellPlace {
  /** Number of the cell, from 0: row by row, sheet by sheet. */
  readonly index: number;
  readonly options: CellOptions;
}

export interface GridPlan extends ParsedAxes {
  /** Row by row, sheet by sheet. */
  readonly cells: readonly PlannedCell[];
  /** Seed of cells without their own. */
  readonly seed: number;
}

/**
 * Plans the cells of a grid and validates the options of each.
 * @param options of all cells; a random seed is drawn once, so that cells differ only in the axes' options
 * @param maxCells most cells that the caller accepts
 * @throws INVALID_OPTION
 */
export function planGrid(options: CellOptions, axes: GridAxes, maxCells = MAX_CELLS): GridPlan {
  const parsed = parseAxes(axes, maxCells);
  if (options.count !== undefined && options.count !== 1)
    throw invalidOption('count', '1 for a grid, whose cells are single images', options.count);
  for (const name of ['prompt', 'negative'] as const)
    if (Array.isArray(options[name]))
      throw invalidOption(name, `a single text for a grid; use an axis ${name}=...`, options[name]);
  const seed = options.seed === undefined || options.seed === -1 ? randomInt(2 ** 32) : options.seed;
  const cells = Array.from({ length: cellCount(parsed) }, (_, index): PlannedCell => {
    const place = placeOf(parsed, index);
    return { index, ...place, options: optionsAt(parsed, { ...options, seed }, place) };
  });
  // The size of latents is checked once the model is known.
  for (const cell of cells) resolveOptions(cell.options, {}, 1);
  return { ...parsed, cells, seed };
}
