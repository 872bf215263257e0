/** Cells of grid jobs. */
import { gridParts, optionsOfCell } from '../../../../lib/jobs/grid/options.js';
import { cellCount, type ParsedAxes, parseAxes } from '../../../../lib/pipelines/grid/axes.js';
import type { ApiImage, ApiJob } from '../../api/types.js';

/** Returns the axes of a grid job; undefined if this version cannot read them. */
export function axesOf({ options }: Pick<ApiJob, 'options'>): ParsedAxes | undefined {
  try {
    return parseAxes(gridParts(options).axes);
  } catch {
    return undefined;
  }
}

/** Returns the options of the job that generated an image: for a grid, those of its cell. */
export function optionsOfImage(
  { type, options }: Pick<ApiJob, 'type' | 'options'>,
  { cell }: Pick<ApiImage, 'cell'>,
): ApiJob['options'] {
  if (type !== 'grid' || cell === undefined) return options;
  try {
    return optionsOfCell(options, cell);
  } catch {
    return options;
  }
}

/** Returns the number of cells of a grid job that has ended for which there is no image. */
export function missingCells(job: Pick<ApiJob, 'options' | 'images'>): number {
  const axes = axesOf(job);
  return axes ? cellCount(axes) - job.images.filter(({ cell }) => cell !== undefined).length : 0;
}

/** Returns the ids of grid jobs whose images a later job has taken over. */
export function continuedJobs(jobs: Iterable<ApiJob>): ReadonlySet<string> {
  const all = [...jobs].filter(({ type }) => type === 'grid');
  const byId = new Map(all.map((job) => [job.id, job]));
  const continued = new Set<string>();
  for (const job of all) {
    const earlier = byId.get(gridParts(job.options).continues ?? '');
    if (earlier && job.finished !== undefined && job.images.length >= earlier.images.length)
      continued.add(earlier.id);
  }
  return continued;
}
