/**
 * Runs text-to-image, image-to-image and inpainting jobs batch by batch, so that the images of a batch are
 * available as soon as it is done.
 */
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
import type { Upscalers } from '../models/upscalers.js';
import type { Job, JobImage } from '../types.js';
import { Clock } from './clock.js';
import type { RunContext, RunOutcome } from './context.js';
import { Previewer } from './previewer.js';
import { saveImage } from './results.js';

type SeededOptions = GenerateOptions & { readonly seed: number };

/** @throws errors of `Pipeline.generate`, ADAPTER_NOT_FOUND for an upscaler */
export async function runGeneration(
  job: Job,
  pipeline: Pipeline,
  context: RunContext,
  upscalers: Pick<Upscalers, 'located'>,
): Promise<RunOutcome> {
  const { data, signal, finish, emit } = context;
  const options = await upscalers.located(fromJson(generationFields, withoutImages(job.options)));
  const inputs = await readImages(job.id, job.options, data);
  const request: SeededOptions = { ...options, seed: seedOf(options), ...inputs };
  const count = request.count ?? 1;
  const batch = Math.min(count, request.batch ?? 4);
  const clock = new Clock(Math.ceil(count / batch));
  const previewer = new Previewer(job.previews, (preview) => emit({ type: 'preview', data: preview }));
  // Each batch is a separate call that would repeat the warnings.
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
      const overrides = { ...seedsAt(request, first), count: Math.min(batch, count - first), ...control };
      const generated = await runBatch(pipeline, { ...request, ...overrides }, context, images.length > 0);
      images.push(...(await saveAll(job, generated, images.length, context)));
    }
  } finally {
    await previewer.end(signal.aborted || finish.aborted);
  }
  return { images };
}

/** Returns the seed, which was chosen at submission so that a repeated run generates the same images. */
function seedOf({ seed }: GenerateOptions): number {
  if (seed === undefined) throw invalidOption('seed', 'an integer chosen when the job was submitted', seed);
  return seed;
}

/**
 * Generates one batch; returns no images if it was skipped.
 * @param optional true if earlier batches generated images: a request to finish the job before the first step of
 *   this batch then drops the batch
 */
async function runBatch(
  pipeline: Pipeline,
  options: SeededOptions & { readonly onProgress: (progress: Progress) => void },
  { signal, finish, hurry, skip: nextSkip }: RunContext,
  optional: boolean,
): Promise<readonly GeneratedImage[]> {
  const skip = nextSkip();
  const drop = new AbortController();
  let isStarted = !optional;
  const dropUnlessStarted = (): void => {
    if (!isStarted) drop.abort();
  };
  finish.addEventListener('abort', dropUnlessStarted, { once: true });
  const dropped = AbortSignal.any([skip, drop.signal]);
  try {
    const { images } = await pipeline.generate({
      ...options,
      ...{ signal: AbortSignal.any([signal, dropped]), finish, ...(hurry ? { hurry } : {}) },
      onProgress: (progress) => {
        if (progress.phase === 'denoise' && progress.step > 0) isStarted = true;
        options.onProgress(progress);
      },
    });
    return images;
  } catch (error) {
    if (wasSkipped(error, dropped, signal)) return [];
    throw error;
  } finally {
    finish.removeEventListener('abort', dropUnlessStarted);
  }
}

/** Encodes images in parallel and writes them in order. */
async function saveAll(
  job: Job,
  images: readonly GeneratedImage[],
  first: number,
  context: RunContext,
): Promise<JobImage[]> {
  const encoded = images.map((image) => image.png());
  for (const png of encoded) png.catch(() => undefined); // thrown below, when the image is written
  const saved: JobImage[] = [];
  for (const [i, { width, height, seed, parameters }] of images.entries()) {
    const image = { width, height, seed, parameters, png: () => encoded[i]! };
    saved.push(await saveImage(job, image, first + i, context));
  }
  return saved;
}

/** Returns true if the error comes from skipping a batch, rather than from stopping or failing the job. */
export function wasSkipped(error: unknown, skip: AbortSignal, signal: AbortSignal): boolean {
  return skip.aborted && !signal.aborted && error instanceof SafelightError && error.code === 'ABORTED';
}
