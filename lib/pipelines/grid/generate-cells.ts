/** Generates the cells of a planned grid that are not stored yet. */
import { isAborted, onAbort, throwIfAborted } from '../../errors.js';
import type { RgbImage } from '../../tensor/render.js';
import type { Warnings } from '../../warnings.js';
import type { Pipeline } from '../diffusion/pipeline.js';
import { FINISH } from '../finish-signal.js';
import type { Progress } from '../progress.js';
import type { CellPlace } from './axes.js';
import type { CellOptions } from './cell-options.js';
import type { GridPlan, PlannedCell } from './cells.js';
import { checkLeastSheetSize } from './sheet.js';

/** An image with its PNG encoding, which contains its generation parameters. */
export interface CellImage extends RgbImage {
  png(options?: { readonly metadata?: boolean }): Promise<Uint8Array>;
}

/** Storage of finished cells, from which an interrupted grid is resumed. */
export interface CellStore {
  /** Returns a cell of an earlier run; undefined if there is none, or if its file is damaged. */
  read(cell: PlannedCell): Promise<CellImage | undefined>;
  /** @throws FILE_NOT_WRITTEN */
  write(cell: PlannedCell, image: CellImage): Promise<void>;
}

export interface GridProgress {
  /** Number of finished cells. */
  readonly cell: number;
  readonly cells: number;
  /** Place of the current cell; undefined at the end. */
  readonly place?: CellPlace;
  /** Progress of the current cell; undefined until it begins. */
  readonly progress?: Progress;
}

export interface GridCell extends CellPlace {
  readonly options: CellOptions;
  /** Undefined if the grid was ended before. */
  readonly image: CellImage | undefined;
  /** True if the image is from an earlier run. */
  readonly reused: boolean;
}

export interface CellsControl {
  readonly store: CellStore | undefined;
  /** Aborted with the reason `'finish'`, it ends the grid with the cells that are finished. */
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: GridProgress) => void) | undefined;
  /** Receives each cell when it is finished: first those in the store, then the generated ones. */
  readonly onCell: (cell: GridCell, index: number) => void;
  readonly warnings: Warnings;
}

/**
 * Generates the cells that the store does not have, row by row, and stores each.
 * @throws as `Pipeline.generate`, ABORTED, errors of the store, INVALID_OPTION for a sheet that would be too large
 */
export async function generateCells(
  pipeline: Pipeline,
  plan: GridPlan,
  control: CellsControl,
): Promise<void> {
  const { store, signal, onProgress, onCell, warnings } = control;
  const stopping = stopSignal(signal);
  const cells = plan.cells.length;
  let finished = 0;
  const finish = ({ index, options, x, y, z }: PlannedCell, image: CellImage, reused: boolean): void => {
    if (finished === 0) checkLeastSheetSize(plan, image);
    finished++;
    onCell({ x, y, z, options, image, reused }, index);
  };
  try {
    const missing: PlannedCell[] = [];
    for (const cell of plan.cells) {
      throwIfAborted(stopping.signal);
      const earlier = await store?.read(cell);
      if (earlier) finish(cell, earlier, true);
      else missing.push(cell);
    }
    for (const cell of missing) {
      throwIfAborted(stopping.signal);
      const { x, y, z } = cell;
      onProgress?.({ cell: finished, cells, place: { x, y, z } });
      const { images } = await pipeline.generate({
        ...cell.options,
        ...(stopping.signal ? { signal: stopping.signal } : {}),
        onProgress: (progress) => onProgress?.({ cell: finished, cells, place: { x, y, z }, progress }),
        onWarning: ({ code, message }) => warnings.add(code, message),
      });
      await store?.write(cell, images[0]!);
      finish(cell, images[0]!, false);
    }
  } catch (error) {
    if (!isAborted(error) || !signal?.aborted) throw error;
    if (signal.reason !== FINISH) throwIfAborted(signal);
  } finally {
    stopping.stop();
  }
  onProgress?.({ cell: finished, cells });
}

/** Returns a signal that stops the current cell for every reason: an unfinished cell is not kept. */
function stopSignal(signal: AbortSignal | undefined): { signal?: AbortSignal; stop: () => void } {
  if (signal === undefined) return { stop: () => undefined };
  const controller = new AbortController();
  const stop = onAbort(signal, () => controller.abort(signal.reason === FINISH ? undefined : signal.reason));
  return { signal: controller.signal, stop };
}
