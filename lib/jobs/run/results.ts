/** Saves images and other files as results of a running job. */
import { defined } from '../../defined.js';
import type { GeneratedImage } from '../../pipelines/image-result.js';
import type { Job, JobImage } from '../types.js';
import type { RunContext } from './context.js';

/**
 * Writes a file that is not one of the generated images. Width and height are 0 for files that are not
 * images.
 */
export async function saveFile(
  job: Job,
  file: Pick<JobImage, 'name' | 'type' | 'width' | 'height'>,
  bytes: Uint8Array,
  { data }: RunContext,
): Promise<JobImage> {
  await data.writeResult(job.id, file.name, bytes);
  return { ...file, parameters: '' };
}

/**
 * Writes an image and emits its event. The file name depends only on the index, or on the cell of a grid, so that a
 * repeated run replaces the file.
 */
export async function saveImage(
  job: Job,
  image: Pick<GeneratedImage, 'width' | 'height' | 'seed' | 'parameters'> & {
    readonly png: () => Promise<Uint8Array>;
  },
  index: number,
  { data, emit }: RunContext,
  cell?: number,
): Promise<JobImage> {
  const { width, height, seed, parameters } = image;
  const name = `${cell ?? index}.png`;
  await data.writeResult(job.id, name, await image.png());
  const saved = {
    name,
    type: 'image/png',
    width,
    height,
    parameters,
    ...defined({ seed, cell }),
  };
  emit({ type: 'image', data: { ...saved, index } });
  return saved;
}
