/** Writes images and other files of a running job among its results. */
import type { GeneratedImage } from '../../pipelines/image-result.js';
import type { Job, JobImage } from '../types.js';
import type { RunContext } from './context.js';

/** Writes any other file of a job. Width and height of files that are no images are 0. */
export async function keepFile(
  job: Job,
  file: Pick<JobImage, 'name' | 'type' | 'width' | 'height'>,
  bytes: Uint8Array,
  { data }: RunContext,
): Promise<JobImage> {
  await data.writeResult(job.id, file.name, bytes);
  return { ...file, parameters: '' };
}

/** Writes an image under a name that depends on its index alone, so that a job that runs again replaces it, and emits its event. */
export async function keep(
  job: Job,
  image: Pick<GeneratedImage, 'width' | 'height' | 'seed' | 'parameters' | 'png'>,
  index: number,
  { data, emit }: RunContext,
): Promise<JobImage> {
  const { width, height, seed, parameters } = image;
  const name = `${index}.png`;
  await data.writeResult(job.id, name, await image.png());
  const kept = {
    name,
    type: 'image/png',
    width,
    height,
    parameters,
    ...(seed === undefined ? {} : { seed }),
  };
  emit({ type: 'image', data: { ...kept, index } });
  return kept;
}
