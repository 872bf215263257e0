/** Cells of a grid job as its result files, from which a later attempt continues. */
import { SafelightError } from '../../errors.js';
import { readPngText } from '../../image/png.js';
import { cellImageOf } from '../../pipelines/grid/cell-cache.js';
import type { PlannedCell } from '../../pipelines/grid/cells.js';
import type { CellImage, CellStore } from '../../pipelines/grid/generate-cells.js';
import type { RunContext } from '../run/context.js';
import { saveImage } from '../run/results.js';
import type { Job, JobImage } from '../types.js';
import { type FinishedCell, gridParts } from './options.js';

export class JobCells implements CellStore {
  /** Results so far, in the order in which they were finished. */
  readonly images: JobImage[] = [];
  private readonly inputs: ReadonlyMap<number, FinishedCell>;

  constructor(
    private readonly job: Job,
    private readonly context: RunContext,
  ) {
    this.inputs = new Map(gridParts(job.options).finished.map((finished) => [finished.cell, finished]));
  }

  /** Reads a cell of an earlier attempt at the job, or of the job that it continues. */
  async read(cell: PlannedCell): Promise<CellImage | undefined> {
    const { data } = this.context;
    const input = this.inputs.get(cell.index);
    const bytes =
      (await ifExists(data.readResult(this.job.id, cellFile(cell.index)))) ??
      (input && (await ifExists(data.readInput(this.job.id, input.file))));
    const image = bytes && (await cellImageOf(bytes));
    if (image) await this.write(cell, image);
    return image;
  }

  async write({ index, options }: PlannedCell, image: CellImage): Promise<void> {
    const { width, height } = image;
    const bytes = await image.png();
    const { parameters = '' } = readPngText(bytes);
    const saved = { width, height, parameters, seed: options.seed, png: async () => bytes };
    this.images.push(await saveImage(this.job, saved, this.images.length, this.context, index));
  }
}

/** Returns the name of the result file of a cell. */
function cellFile(index: number): string {
  return `${index}.png`;
}

async function ifExists(bytes: Promise<Uint8Array>): Promise<Uint8Array | undefined> {
  try {
    return await bytes;
  } catch (error) {
    if (error instanceof SafelightError && error.code === 'FILE_NOT_FOUND') return undefined;
    throw error;
  }
}
