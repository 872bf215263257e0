/**
 * Creates requests for trace jobs, which generate an image of an earlier job again and record its intermediate
 * tensors. The request contains all settings, so that the earlier job may be removed.
 */
import { invalidOption, SafelightError } from '../../errors.js';
import { optionsOfCell } from '../grid/options.js';
import { imageReferences, withoutImages } from '../images.js';
import type { Json } from '../json.js';
import { type JobQueue, type JobRequest, kindOfJob } from '../types.js';

export interface TraceQuery {
  /** Id of the earlier job. */
  readonly job: string;
  /** Index of its image; default 0, the first. */
  readonly picture?: number | undefined;
  readonly tensors?: readonly string[] | undefined;
}

/** Options that a trace drops: it generates one image and computes every step in full. */
const LEFT_OUT = ['count', 'batch', 'stepCache', 'stepCacheStrength', 'deepCache'] as const;

/** @throws FILE_NOT_FOUND for an unknown job or image, INVALID_OPTION for a job without denoising steps */
export async function traceRequest(
  queue: Pick<JobQueue, 'get'>,
  { job: id, picture: index = 0, tensors }: TraceQuery,
): Promise<JobRequest> {
  const job = await queue.get(id);
  if (!job) throw new SafelightError('FILE_NOT_FOUND', `No job has the id ${JSON.stringify(id)}`);
  if (kindOfJob[job.type] !== 'diffusion' || job.type === 'inside')
    throw invalidOption('job', 'a job of a diffusion model', job.type);
  const image = job.images[index];
  if (!image)
    throw new SafelightError(
      'FILE_NOT_FOUND',
      `Job ${id} has ${job.images.length} images and none with index ${index} (the first is 0)`,
    );
  const options = image.cell === undefined ? job.options : optionsOfCell(job.options, image.cell);
  const settings: Record<string, Json> = withoutImages(options);
  for (const name of LEFT_OUT) delete settings[name];
  return {
    type: 'inside',
    model: job.model,
    options: {
      ...{ job: id, picture: index },
      ...(tensors ? { tensors } : {}),
      settings: {
        ...settings,
        seed: image.seed ?? Number(settings.seed) + index,
        ...(settings.subseedStrength && image.cell === undefined
          ? { subseed: Number(settings.subseed) + index }
          : {}),
      },
      ...imageReferences({ id, options: job.options }),
    },
    previews: { every: 0 },
  };
}
