/** Draws the labelled sheet of a grid job from its finished cells. */
import { readFile } from 'node:fs/promises';
import { invalidOption } from '../../errors.js';
import { encodePng } from '../../image/png.js';
import { indexOf, parseAxes } from '../../pipelines/grid/axes.js';
import { cellImageOf } from '../../pipelines/grid/cell-cache.js';
import { drawSheet, type StoredCell } from '../../pipelines/grid/sheet.js';
import type { Job, JobImage, JobQueue } from '../types.js';
import { gridParts } from './options.js';

/**
 * Returns the sheet as PNG; missing cells are white.
 * @param only index of the value of z whose part of the sheet is drawn; default all
 * @throws INVALID_OPTION for a job of another type or without finished cells, an unknown index, or a sheet that is too
 *   large
 */
export async function drawJobSheet(
  job: Job,
  queue: Pick<JobQueue, 'file'>,
  only?: number,
): Promise<Uint8Array> {
  if (job.type !== 'grid') throw invalidOption('id', 'the id of a grid job', job.type);
  const axes = parseAxes(gridParts(job.options).axes);
  const cells = new Map(
    job.images.flatMap((image) => (image.cell === undefined ? [] : [[image.cell, image]])),
  );
  const [size] = cells.values();
  if (!size) throw invalidOption('id', 'a grid job with at least one finished cell', job.id);
  const value = only === undefined ? undefined : axes.z?.values[only];
  if (only !== undefined && !value)
    throw invalidOption('z', `an index of a value of z, from 0 to ${(axes.z?.values.length ?? 0) - 1}`, only);
  const drawn = value ? { ...axes, z: { ...axes.z!, values: [value] } } : axes;
  const sheet = await drawSheet(
    drawn,
    (x, y, z) => {
      const image = cells.get(indexOf(axes, { x, y, z: only ?? z }));
      return image && storedCell(job, image, queue);
    },
    size,
  );
  return encodePng(sheet);
}

function storedCell(
  { id }: Job,
  { name, width, height }: JobImage,
  queue: Pick<JobQueue, 'file'>,
): StoredCell {
  return {
    ...{ width, height },
    load: async () => {
      const file = await queue.file(id, name);
      const bytes = file && (await readFile(file.path).catch(() => undefined));
      return bytes && cellImageOf(bytes);
    },
  };
}
