/** Trace jobs: an image of an earlier job is generated again and traced. The job carries all it needs, whatever becomes of the earlier one. */
import { invalidOption, SafelightError } from '../../errors.js';
import { isImageOption, withoutImages } from '../images.js';
import type { Json } from '../json.js';
import { type JobQueue, type JobRequest, kindOfJob } from '../types.js';

export interface TraceQuery {
  /** Id of the earlier job. */
  readonly job: string;
  /** Index of its image; default 0, the first. */
  readonly picture?: number | undefined;
  readonly tensors?: readonly string[] | undefined;
}

/** Options of a generation that a trace does without: it makes one image, and computes each step in full. */
const LEFT_OUT = ['count', 'batch', 'deepCache'] as const;

/** @throws FILE_NOT_FOUND for an unknown job or image, INVALID_OPTION for a job without steps */
export async function traceRequest(
  queue: Pick<JobQueue, 'get'>,
  { job: id, picture = 0, tensors }: TraceQuery,
): Promise<JobRequest> {
  const job = await queue.get(id);
  if (!job) throw new SafelightError('FILE_NOT_FOUND', `There is no job ${JSON.stringify(id)}`);
  if (kindOfJob[job.type] !== 'diffusion' || job.type === 'inside')
    throw invalidOption('job', 'a job that generated an image step by step', job.type);
  const image = job.images[picture];
  if (!image)
    throw new SafelightError(
      'FILE_NOT_FOUND',
      `Job ${id} has ${job.images.length} images, and none of index ${picture} (the first is 0)`,
    );
  const settings: Record<string, Json> = withoutImages(job.options);
  for (const name of LEFT_OUT) delete settings[name];
  const given = Object.keys(job.options).filter(isImageOption);
  return {
    type: 'inside',
    model: job.model,
    options: {
      ...{ job: id, picture },
      ...(tensors ? { tensors } : {}),
      settings: {
        ...settings,
        seed: image.seed ?? Number(settings.seed) + picture,
        ...(settings.subseedStrength ? { subseed: Number(settings.subseed) + picture } : {}),
      },
      ...Object.fromEntries(given.map((name) => [name, { job: id, input: name }])),
    },
    previews: { every: 0 },
  };
}
