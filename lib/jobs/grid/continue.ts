/** Creates the request that continues a grid job: the same grid, with the finished cells of the earlier job. */
import { invalidOption, SafelightError } from '../../errors.js';
import { cellCount, parseAxes } from '../../pipelines/grid/axes.js';
import { imageReferences, withoutImages } from '../images.js';
import type { Json } from '../json.js';
import type { Job, JobQueue, JobRequest } from '../types.js';
import { gridParts } from './options.js';

/** @throws FILE_NOT_FOUND for an unknown job, INVALID_OPTION for one that has not ended or misses no cell */
export async function continueRequest(
  queue: Pick<JobQueue, 'get' | 'file'>,
  id: string,
): Promise<JobRequest> {
  const job = await queue.get(id);
  if (!job) throw new SafelightError('FILE_NOT_FOUND', `No job has the id ${JSON.stringify(id)}`);
  if (job.type !== 'grid') throw invalidOption('continue', 'the id of a grid job', job.type);
  if (job.finished === undefined)
    throw invalidOption('continue', 'a grid job that has ended', job.status, 'cancel or finish it first');
  const { axes, options, continues: _ } = gridParts(job.options);
  const finished = await finishedCells(job, queue);
  if (finished.length >= cellCount(parseAxes(axes)))
    throw invalidOption('continue', 'a grid job with missing cells', id, 'this grid is complete');
  return {
    type: 'grid',
    model: job.model,
    options: {
      ...withoutImages(options),
      ...(axes as Record<string, string>),
      ...imageReferences(job),
      ...(finished.length > 0 ? { cells: finished } : {}),
      continues: id,
    },
    previews: job.previews,
  };
}

/** Returns the cells that the job has generated, and those that it was given but has not listed yet. */
async function finishedCells(job: Job, queue: Pick<JobQueue, 'file'>): Promise<Json[]> {
  const cells = new Map<number, Json>();
  for (const { cell, file } of gridParts(job.options).finished) cells.set(cell, { job: job.id, input: file });
  for (const { cell, name } of job.images)
    if (cell !== undefined && (await queue.file(job.id, name)) !== undefined)
      cells.set(cell, { job: job.id, image: name });
  return [...cells].map(([cell, image]) => ({ cell, image }));
}
