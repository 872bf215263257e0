/** X/Y/Z grids: one image per combination of option values, and a labelled sheet of all of them. */
import { invalidOption } from '../../errors.js';
import { pathOf } from '../../files/destination.js';
import { writeNewOutput, writeOutput } from '../../files/write.js';
import { encodeImage, imageFormatOf } from '../../image/encode.js';
import { checkCallback, checkSignal, knownKeys } from '../../known-keys.js';
import * as check from '../../options/check.js';
import type { RgbImage } from '../../tensor/render.js';
import { type OnWarning, type Warning, Warnings } from '../../warnings.js';
import type { Pipeline } from '../diffusion/pipeline.js';
import { type GridAxes, indexOf } from './axes.js';
import { CellCache, stampOf } from './cell-cache.js';
import type { CellOptions } from './cell-options.js';
import { type GridPlan, planGrid } from './cells.js';
import { type GridCell, type GridProgress, generateCells } from './generate-cells.js';
import { drawSheet } from './sheet.js';

/** Options for observing, ending and resuming a grid. */
export interface GridControl {
  /**
   * Aborts the grid, which rejects with ABORTED. Aborted with the reason `'finish'`, it returns the cells that are
   * finished; all others are missing.
   */
  readonly signal?: AbortSignal;
  /** Folder in which finished cells are kept and from which those of earlier runs are taken; default none. */
  readonly cache?: string;
  /** Further text that distinguishes cells in the cache, such as options with which the model was loaded. */
  readonly cacheKey?: string;
  readonly onProgress?: (progress: GridProgress) => void;
  /** Receives each cell when it is finished; those of earlier runs come first. */
  readonly onCell?: (cell: GridCell) => void;
  readonly onWarning?: OnWarning;
}

/** The sheet of a grid as an image. */
export class GridSheet implements RgbImage {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly width: number;
  readonly height: number;

  constructor(image: RgbImage) {
    this.data = image.data as Uint8Array<ArrayBuffer>;
    this.width = image.width;
    this.height = image.height;
  }

  /**
   * Writes a PNG, JPEG or WebP file according to the extension.
   * @returns the path of the file, which differs from `path` if that exists and `overwrite` is false
   * @throws INVALID_OPTION for another extension, INVALID_IMAGE, FILE_NOT_WRITTEN
   */
  async save(path: string | URL, options: { readonly overwrite?: boolean } = {}): Promise<string> {
    knownKeys('options', options, new Set(['overwrite']));
    const name = pathOf(path);
    const bytes = await encodeImage(this, imageFormatOf(name));
    if (!check.boolean('overwrite', options.overwrite ?? false)) return writeNewOutput(name, bytes);
    await writeOutput(name, bytes);
    return name;
  }
}

export interface GridResult {
  /** Labelled sheet of all cells. */
  readonly sheet: GridSheet;
  /** Cells row by row, sheet by sheet. */
  readonly cells: readonly GridCell[];
  /** Seed of the cells, unless an axis sets it. */
  readonly seed: number;
  /** Number of cells that were generated, and of those from an earlier run. */
  readonly generated: number;
  readonly reused: number;
  readonly warnings: readonly Warning[];
}

const KEYS: ReadonlySet<string> = new Set([
  ...['signal', 'cache', 'cacheKey', 'onProgress', 'onCell', 'onWarning'],
]);

/**
 * Generates a grid.
 * @param options of all cells, as of `Pipeline.generate`; `count` is 1
 * @throws as `Pipeline.generate`; INVALID_OPTION for axes, before anything is generated; FILE_NOT_WRITTEN (cache)
 */
export async function generateGrid(
  pipeline: Pipeline,
  options: CellOptions,
  axes: GridAxes,
  control: GridControl = {},
): Promise<GridResult> {
  knownKeys('control', control, KEYS);
  const { cacheKey = '', onProgress, onCell, onWarning } = control;
  const signal = checkSignal('signal', control.signal);
  for (const [name, value] of Object.entries({ onProgress, onCell, onWarning })) checkCallback(name, value);
  const model = `${await stampOf(pipeline.info.path)}\n${cacheKey}`;
  const cache = control.cache === undefined ? undefined : new CellCache(folderOf(control.cache), model);
  const plan = planGrid({ ...options, ...(await earlierSeed(options, cache)) }, axes);
  await cache?.keepSeed(plan.seed);
  const warnings = new Warnings(onWarning);
  const cells = plan.cells.map(
    ({ x, y, z, options: own }): GridCell => ({ x, y, z, options: own, image: undefined, reused: false }),
  );
  await generateCells(pipeline, plan, {
    ...{ store: cache, signal, onProgress, warnings },
    onCell: (cell, index) => {
      cells[index] = cell;
      onCell?.(cell);
    },
  });
  const reused = cells.filter((cell) => cell.reused).length;
  const generated = cells.filter(({ image }) => image).length - reused;
  return {
    sheet: new GridSheet(await sheetOf(plan, cells, pipeline)),
    cells,
    seed: plan.seed,
    ...{ generated, reused, warnings: warnings.list },
  };
}

/** @throws INVALID_OPTION */
function folderOf(path: unknown): string {
  if (typeof path === 'string' && path !== '' && !path.includes('\0')) return path;
  throw invalidOption('cache', 'the path of a folder', path);
}

/** Takes a random seed from an earlier run, so that its cells are found. */
async function earlierSeed({ seed }: CellOptions, cache: CellCache | undefined): Promise<{ seed?: number }> {
  const earlier = seed === undefined || seed === -1 ? await cache?.seed() : undefined;
  return earlier === undefined ? {} : { seed: earlier };
}

function sheetOf(plan: GridPlan, cells: readonly GridCell[], pipeline: Pipeline): Promise<RgbImage> {
  const known = cells.find(({ image }) => image)?.image;
  const size = known ?? {
    width: plan.cells[0]?.options.width ?? pipeline.info.width,
    height: plan.cells[0]?.options.height ?? pipeline.info.height,
  };
  return drawSheet(plan, (x, y, z) => cells[indexOf(plan, { x, y, z })]?.image, size);
}
