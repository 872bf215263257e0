/** X/Y/Z grids: one image per combination of option values, and a labelled sheet of all of them. */
import { invalidOption, isAborted, onAbort, throwIfAborted } from '../../errors.js';
import { pathOf } from '../../files/destination.js';
import { writeNewOutput, writeOutput } from '../../files/write.js';
import { encodeImage, imageFormatOf } from '../../image/encode.js';
import { checkCallback, checkSignal, knownKeys } from '../../known-keys.js';
import * as check from '../../options/check.js';
import type { RgbImage } from '../../tensor/render.js';
import { type OnWarning, type Warning, Warnings } from '../../warnings.js';
import type { Pipeline } from '../diffusion/pipeline.js';
import { FINISH } from '../finish-signal.js';
import type { Progress } from '../progress.js';
import { CellCache, type CellImage, stampOf } from './cell-cache.js';
import type { CellOptions } from './cell-options.js';
import { type CellPlace, type GridAxes, type GridPlan, type PlannedCell, planGrid } from './cells.js';
import { checkSheetSize, drawSheet } from './sheet.js';

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
  /** Receives each cell when it is finished. */
  readonly onCell?: (cell: GridCell) => void;
  readonly onWarning?: OnWarning;
}

export interface GridProgress {
  /** Number of finished cells. */
  readonly cell: number;
  readonly cells: number;
  /** Progress of the current cell; undefined between cells. */
  readonly progress?: Progress;
}

export interface GridCell extends CellPlace {
  readonly options: CellOptions;
  /** Undefined if the grid was ended before. */
  readonly image: CellImage | undefined;
  /** True if the image is from an earlier run. */
  readonly reused: boolean;
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
  const stopping = stopSignal(signal);
  const cells: GridCell[] = [];
  try {
    for (const planned of plan.cells) {
      onProgress?.({ cell: cells.length, cells: plan.cells.length });
      const report = (progress: Progress) =>
        onProgress?.({ cell: cells.length, cells: plan.cells.length, progress });
      const made = await makeCell(pipeline, planned, cache, stopping.signal, report, warnings);
      if (cells.length === 0) checkLeastSize(plan, made.image);
      cells.push(made);
      onCell?.(made);
    }
  } catch (error) {
    if (!isAborted(error) || !signal?.aborted) throw error;
    if (signal.reason !== FINISH) throwIfAborted(signal);
  } finally {
    stopping.stop();
  }
  onProgress?.({ cell: cells.length, cells: plan.cells.length });
  const finished = cells.length;
  for (const { x, y, z, options: own } of plan.cells.slice(finished))
    cells.push({ x, y, z, options: own, image: undefined, reused: false });
  const reused = cells.filter((cell) => cell.reused).length;
  return {
    sheet: new GridSheet(await sheetOf(plan, cells, pipeline)),
    cells,
    seed: plan.seed,
    ...{ generated: finished - reused, reused, warnings: warnings.list },
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

/** Returns a signal that stops the current cell for every reason: an unfinished cell is not kept. */
function stopSignal(signal: AbortSignal | undefined): { signal?: AbortSignal; stop: () => void } {
  if (signal === undefined) return { stop: () => undefined };
  const controller = new AbortController();
  const stop = onAbort(signal, () => controller.abort(signal.reason === FINISH ? undefined : signal.reason));
  return { signal: controller.signal, stop };
}

async function makeCell(
  pipeline: Pipeline,
  { options, ...place }: PlannedCell,
  cache: CellCache | undefined,
  signal: AbortSignal | undefined,
  onProgress: (progress: Progress) => void,
  warnings: Warnings,
): Promise<GridCell> {
  throwIfAborted(signal);
  const earlier = await cache?.read(options);
  if (earlier) return { ...place, options, image: earlier, reused: true };
  const { images } = await pipeline.generate({
    ...options,
    ...(signal ? { signal } : {}),
    onProgress,
    onWarning: ({ code, message }) => warnings.add(code, message),
  });
  const image = images[0]!;
  await cache?.write(options, image);
  return { ...place, options, image, reused: false };
}

/** Rejects a sheet that is too large after the first cell rather than after the last. @throws INVALID_OPTION */
function checkLeastSize({ x, y, z }: GridPlan, first: RgbImage | undefined): void {
  const [columns, rows, blocks] = [x, y, z].map((axis) => axis?.values.length ?? 1);
  const sizes = [x, y, z].some((axis) => axis && /width|height|scale/.test(axis.name));
  if (first && !sizes) checkSheetSize(first.width * columns!, first.height * rows! * blocks!);
}

function sheetOf(plan: GridPlan, cells: readonly GridCell[], pipeline: Pipeline): Promise<RgbImage> {
  const [columns, rows] = [plan.x?.values.length ?? 1, plan.y?.values.length ?? 1];
  const known = cells.find(({ image }) => image)?.image;
  const size = known ?? {
    width: plan.cells[0]?.options.width ?? pipeline.info.width,
    height: plan.cells[0]?.options.height ?? pipeline.info.height,
  };
  return drawSheet(plan, (x, y, z) => cells[(z * rows + y) * columns + x]?.image, size);
}
