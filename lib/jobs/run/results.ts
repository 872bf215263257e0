/** Pictures of a running job: written among its results, and told of. */
import type { GeneratedImage } from '../../pipelines/image-result.js';
import type { Json } from '../json.js';
import type { NewEvent } from '../service/event-log.js';
import type { JobFiles } from '../store/data-folder.js';
import type { Job, JobImage } from '../types.js';

/** What a job is run with. */
export interface RunContext {
  readonly data: JobFiles;
  readonly signal: AbortSignal;
  /** Ends the job where it is; pictures so far are kept. */
  readonly finish: AbortSignal;
  /** Gives previews of the images that are not decoded yet: aborted when a job that finishes is told to finish again. */
  readonly hurry?: AbortSignal;
  /** A signal that leaves out the batch that begins now. */
  readonly skip: () => AbortSignal;
  readonly emit: (event: NewEvent) => void;
}

export interface RunOutcome {
  readonly images: readonly JobImage[];
  readonly result?: Json;
}

/** Writes any other file of a job; of files that are no pictures, width and height are 0. */
export async function keepFile(
  job: Job,
  file: Pick<JobImage, 'name' | 'type' | 'width' | 'height'>,
  bytes: Uint8Array,
  { data }: RunContext,
): Promise<JobImage> {
  await data.writeResult(job.id, file.name, bytes);
  return { ...file, parameters: '' };
}

/** Writes a picture under a name that depends on nothing but its place, so that a job that runs again replaces it. */
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
