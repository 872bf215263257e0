/** Runs text-to-image, image-to-image and inpainting jobs batch by batch, so that each image can be fetched once its batch is done. */
import { invalidOption, SafelightError } from '../../errors.js';
import { generationFields } from '../../options/declarations/generation.js';
import { fromJson } from '../../options/json.js';
import type { Pipeline } from '../../pipelines/diffusion/pipeline.js';
import { seedsAt } from '../../pipelines/diffusion/seeds.js';
import type { GeneratedImage } from '../../pipelines/image-result.js';
import type { GenerateOptions } from '../../pipelines/options.js';
import type { Progress } from '../../pipelines/progress.js';
import { type OnWarning, Warnings } from '../../warnings.js';
import { readImages, withoutImages } from '../images.js';
import type { Job, JobImage } from '../types.js';
import { Clock } from './clock.js';
import type { RunContext, RunOutcome } from './context.js';
import { Previewer } from './previewer.js';
import { keep } from './results.js';

type Given = GenerateOptions & { readonly seed: number };

/** @throws what `Pipeline.generate` throws */
export async function runGeneration(job: Job, pipeline: Pipeline, context: RunContext): Promise<RunOutcome> {
  const { data, signal, finish, emit } = context;
  const options = fromJson(generationFields, withoutImages(job.options));
  const inputs = await readImages(job.id, job.options, data);
  const given: Given = { ...options, seed: seedOf(options), ...inputs };
  const count = given.count ?? 1;
  const batch = Math.min(count, given.batch ?? 4);
  const clock = new Clock(Math.ceil(count / batch));
  const previewer = new Previewer(job.previews, (preview) => emit({ type: 'preview', data: preview }));
  // Each batch is a call of its own and would repeat them.
  const warnings = new Warnings((warning) => emit({ type: 'warning', data: warning }));
  const images: JobImage[] = [];
  try {
    for (let first = 0, part = 0; first < count && !(finish.aborted && first > 0); first += batch, part++) {
      const onProgress = (progress: Progress): void => {
        const now = clock.at(part, progress);
        emit({ type: 'progress', data: now });
        if (progress.preview && !finish.aborted) previewer.offer(now.step, now.steps, progress.preview);
      };
      const onWarning: OnWarning = ({ code, message }) => warnings.add(code, message);
      const control = { onProgress, onWarning };
      const own = { ...seedsAt(given, first), count: Math.min(batch, count - first), ...control };
      const made = await runBatch(pipeline, { ...given, ...own }, context, images.length > 0);
      images.push(...(await keepAll(job, made, images.length, context)));
    }
  } finally {
    await previewer.end(signal.aborted || finish.aborted);
  }
  return { images };
}

/** The seed was settled when the job was submitted, so that one that runs again gives the same images. */
function seedOf({ seed }: GenerateOptions): number {
  if (seed === undefined)
    throw invalidOption('seed', 'an integer that was settled when the job was made', seed);
  return seed;
}

/**
 * Generates one batch; no images where it was skipped.
 * @param optional there are images of earlier batches: where the job is to finish before this batch has taken a step, the batch is left out
 */
async function runBatch(
  pipeline: Pipeline,
  options: Given & { readonly onProgress: (progress: Progress) => void },
  { signal, finish, hurry, skip: nextSkip }: RunContext,
  optional: boolean,
): Promise<readonly GeneratedImage[]> {
  const skip = nextSkip();
  const leave = new AbortController();
  let isWanted = !optional;
  const leaveUnlessWanted = (): void => {
    if (!isWanted) leave.abort();
  };
  finish.addEventListener('abort', leaveUnlessWanted, { once: true });
  const left = AbortSignal.any([skip, leave.signal]);
  try {
    const { images } = await pipeline.generate({
      ...options,
      ...{ signal: AbortSignal.any([signal, left]), finish, ...(hurry ? { hurry } : {}) },
      onProgress: (progress) => {
        if (progress.phase === 'denoise' && progress.step > 0) isWanted = true;
        options.onProgress(progress);
      },
    });
    return images;
  } catch (error) {
    if (wasSkipped(error, left, signal)) return [];
    throw error;
  } finally {
    finish.removeEventListener('abort', leaveUnlessWanted);
  }
}

/** Encodes images in parallel, and writes them in their order. */
async function keepAll(
  job: Job,
  images: readonly GeneratedImage[],
  first: number,
  context: RunContext,
): Promise<JobImage[]> {
  const encoded = images.map((image) => image.png());
  for (const one of encoded) one.catch(() => undefined); // it is thrown where the image is written
  const kept: JobImage[] = [];
  for (const [i, { width, height, seed, parameters }] of images.entries()) {
    const image = { width, height, seed, parameters, png: () => encoded[i]! };
    kept.push(await keep(job, image, first + i, context));
  }
  return kept;
}

/** True for the error of a batch that was skipped, rather than of a job that was stopped or failed. */
export function wasSkipped(error: unknown, skip: AbortSignal, signal: AbortSignal): boolean {
  return skip.aborted && !signal.aborted && error instanceof SafelightError && error.code === 'ABORTED';
}
