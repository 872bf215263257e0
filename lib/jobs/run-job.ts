/** One job from its options to its files: what the queue here and a worker elsewhere do alike. Safe to do again: results have fixed names. */
import { SafelightError } from '../errors.js';
import type { GeneratedImage } from '../pipelines/image-result.js';
import type { GenerateOptions } from '../pipelines/options.js';
import type { Pipeline } from '../pipelines/pipeline.js';
import type { Progress } from '../pipelines/progress.js';
import type { DataFolder } from './data-folder.js';
import type { NewEvent } from './event-log.js';
import type { Json } from './json.js';
import { readPictures, withoutPictures } from './pictures.js';
import { Previewer } from './previewer.js';
import type { Job, JobImage, JobProgress } from './types.js';

export interface RunContext {
  readonly data: DataFolder;
  readonly signal: AbortSignal;
  /** Ends the job where it is; pictures so far are kept. */
  readonly finish: AbortSignal;
  /** A signal that leaves out the batch that begins now. */
  readonly skip: () => AbortSignal;
  readonly emit: (event: NewEvent) => void;
}

export interface RunOutcome {
  readonly images: readonly JobImage[];
  readonly result?: Json;
}

/**
 * Text to image and its kin, batch by batch, so that each picture is there as soon as it is made.
 * @throws what `Pipeline.generate` throws
 */
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
  const images: JobImage[] = [];
  for (let first = 0, part = 0; first < count && !(finish.aborted && first > 0); first += batch, part++) {
    const skip = context.skip();
    try {
      const { images: made } = await pipeline.generate({
        ...given,
        ...pictures,
        seed: given.seed + first,
        count: Math.min(batch, count - first),
        signal: AbortSignal.any([signal, skip]),
        finish,
        onProgress: (progress) => {
          const now = clock.at(part, progress);
          emit({ type: 'progress', data: now });
          if (progress.preview) previewer.offer(now.step, now.steps, progress.preview);
        },
      });
      for (const image of made) images.push(await keep(job, image, images.length, context));
    } catch (error) {
      const skipped = skip.aborted && !signal.aborted;
      if (!(skipped && error instanceof SafelightError && error.code === 'ABORTED')) throw error;
    } finally {
      await previewer.end();
    }
  }
  return { images };
}

/** Writes a picture among the job's results and tells of it. */
async function keep(
  job: Job,
  image: GeneratedImage,
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

/** Progress of a job's batches as one, and the time that is left by the pace of its steps. */
class Clock {
  private readonly begun = performance.now();
  private denoising: { readonly at: number; readonly step: number } | undefined;

  constructor(private readonly parts: number) {}

  at(part: number, { phase, step, steps }: Progress): JobProgress {
    const now = performance.now();
    const elapsed = (now - this.begun) / 1000;
    if (phase !== 'denoise') return { phase, step, steps, elapsed };
    const done = part * steps + step;
    const all = this.parts * steps;
    this.denoising ??= { at: now, step: done };
    const taken = done - this.denoising.step;
    if (taken < 1) return { phase, step: done, steps: all, elapsed };
    const left = ((now - this.denoising.at) / 1000 / taken) * (all - done);
    return { phase, step: done, steps: all, elapsed, left };
  }
}
