/** Text to image and its kin, batch by batch, so that each picture is there as soon as it is made. */
import { SafelightError } from '../errors.js';
import type { GeneratedImage } from '../pipelines/image-result.js';
import type { GenerateOptions } from '../pipelines/options.js';
import type { Pipeline } from '../pipelines/pipeline.js';
import { seedsAt } from '../pipelines/variation-options.js';
import { Warnings } from '../warnings.js';
import { Clock } from './clock.js';
import { readPictures, withoutPictures } from './pictures.js';
import { Previewer } from './previewer.js';
import { keep, type RunContext, type RunOutcome } from './results.js';
import type { Job, JobImage } from './types.js';

/** @throws what `Pipeline.generate` throws */
export async function runGeneration(job: Job, pipeline: Pipeline, context: RunContext): Promise<RunOutcome> {
  const { data, signal, finish, emit } = context;
  const given = withoutPictures(job.options) as unknown as GenerateOptions & { seed: number };
  const pictures = await readPictures(job.id, job.options, data);
  const count = given.count ?? 1;
  const batch = Math.min(count, given.batch ?? 4);
  const clock = new Clock(Math.ceil(count / batch));
  const previewer = new Previewer(job.previews.every ?? 1, (preview) =>
    emit({ type: 'preview', data: preview }),
  );
  // Each batch is a call of its own and would repeat them.
  const warnings = new Warnings((warning) => emit({ type: 'warning', data: warning }));
  const images: JobImage[] = [];
  try {
    for (let first = 0, part = 0; first < count && !(finish.aborted && first > 0); first += batch, part++) {
      const skip = context.skip();
      const options: GenerateOptions = {
        ...given,
        ...pictures,
        ...seedsAt(given, first),
        count: Math.min(batch, count - first),
        signal: AbortSignal.any([signal, skip]),
        finish,
        onWarning: ({ code, message }) => warnings.add(code, message),
        onProgress: (progress) => {
          const now = clock.at(part, progress);
          emit({ type: 'progress', data: now });
          if (progress.preview) previewer.offer(now.step, now.steps, progress.preview);
        },
      };
      for (const image of await unlessSkipped(pipeline, options, skip, signal))
        images.push(await keep(job, image, images.length, context));
    }
  } finally {
    await previewer.end(signal.aborted);
  }
  return { images };
}

async function unlessSkipped(
  pipeline: Pipeline,
  options: GenerateOptions,
  skip: AbortSignal,
  signal: AbortSignal,
): Promise<readonly GeneratedImage[]> {
  try {
    return (await pipeline.generate(options)).images;
  } catch (error) {
    if (wasSkipped(error, skip, signal)) return [];
    throw error;
  }
}

/** Whether a picture was left out on request, rather than the job stopped or failed. */
export function wasSkipped(error: unknown, skip: AbortSignal, signal: AbortSignal): boolean {
  return skip.aborted && !signal.aborted && error instanceof SafelightError && error.code === 'ABORTED';
}
