/** From "look inside this picture" to a job that carries all it needs, whatever becomes of the one it is about. */
import { invalidOption, SafelightError } from '../../errors.js';
import { isImageOption, withoutImages } from '../images.js';
import type { Json } from '../json.js';
import { type JobQueue, type JobRequest, kindOfJob } from '../types.js';

export interface InsideQuestion {
  readonly job: string;
  /** Which of its pictures; default the first. */
  readonly picture?: number | undefined;
  readonly tensors?: readonly string[] | undefined;
}

/** Options of a generation that a look does without: it makes one picture, every step of it whole. */
const LEFT_OUT = ['count', 'batch', 'deepCache'] as const;

/** @throws FILE_NOT_FOUND for a job or picture that is not there, INVALID_OPTION for a job without steps */
export async function insideRequest(
  queue: Pick<JobQueue, 'get'>,
  { job: id, picture = 0, tensors }: InsideQuestion,
): Promise<JobRequest> {
  const job = await queue.get(id);
  if (!job) throw new SafelightError('FILE_NOT_FOUND', `There is no job ${JSON.stringify(id)}`);
  if (kindOfJob[job.type] !== 'diffusion' || job.type === 'inside')
    throw invalidOption('job', 'one that made a picture of a prompt, step by step', job.type);
  const image = job.images[picture];
  if (!image)
    throw new SafelightError(
      'FILE_NOT_FOUND',
      `Job ${id} has ${job.images.length} pictures, and none of the number ${picture} (the first is 0)`,
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
