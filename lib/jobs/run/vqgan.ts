/**
 * Runs jobs of VQGAN models: reconstruction, scoring, and image-conditional (sketch), class-conditional and
 * unconditional sampling.
 */
import { encodePng } from '../../image/png.js';
import type { Progress } from '../../pipelines/progress.js';
import type { SampleResult, SampleStep } from '../../pipelines/vqgan/sample.js';
import type { VqganPipeline } from '../../pipelines/vqgan/vqgan-pipeline.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { OnWarning } from '../../warnings.js';
import { readImages, withoutImages } from '../images.js';
import type { Json } from '../json.js';
import type { Job, JobImage } from '../types.js';
import { Clock } from './clock.js';
import type { RunContext, RunOutcome } from './context.js';
import { wasSkipped } from './generation.js';
import { Previewer } from './previewer.js';
import { saveImage } from './results.js';

/** Options that every call receives in addition to those of its job. */
interface Control {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
  readonly onWarning: OnWarning;
}

/** @throws errors of `VqganPipeline` */
export async function runVqgan(job: Job, pipeline: VqganPipeline, context: RunContext): Promise<RunOutcome> {
  const { signal, emit } = context;
  const clock = new Clock(1);
  const previewer = new Previewer(job.previews, (preview) => emit({ type: 'preview', data: preview }));
  const skip = context.skip();
  const control: Control = {
    signal: AbortSignal.any([signal, skip]),
    onWarning: (warning) => emit({ type: 'warning', data: warning }),
    onProgress: (progress) => {
      const now = clock.at(0, progress);
      emit({ type: 'progress', data: now });
      if (progress.preview) previewer.offer(now.step, now.steps, progress.preview);
    },
  };
  try {
    if (job.type === 'reconstruct') return await reconstruct(job, pipeline, control, context);
    if (job.type === 'score') return await score(job, pipeline, control, context);
    return await sampleImage(job, pipeline, control, context);
  } catch (error) {
    if (wasSkipped(error, skip, signal)) return { images: [] };
    throw error;
  } finally {
    await previewer.end(control.signal.aborted);
  }
}

/** Reads the job's image, if any, and merges its other options with the control options. */
async function callOf(job: Job, control: Control, context: RunContext) {
  const { image } = await readImages(job.id, job.options, context.data);
  return { input: image, options: { ...withoutImages(job.options), ...control } };
}

async function reconstruct(
  job: Job,
  pipeline: VqganPipeline,
  control: Control,
  context: RunContext,
): Promise<RunOutcome> {
  const { input, options } = await callOf(job, control, context);
  const { image, psnr, codes, usage } = await pipeline.reconstruct(input ?? new Uint8Array(), options);
  const saved = await saveImage(job, image, 0, context);
  // JSON has no infinity, so the PSNR of identical images is null.
  const result = { psnr: Number.isFinite(psnr) ? psnr : null, codes, usage: usage && { ...usage } };
  return { images: [saved], result };
}

/**
 * Saves the image as it was encoded, its reconstruction, and a heat map of the discriminator's patch scores.
 */
async function score(
  job: Job,
  pipeline: VqganPipeline,
  control: Control,
  context: RunContext,
): Promise<RunOutcome> {
  const { input, options } = await callOf(job, control, context);
  const scored = await pipeline.score(input ?? new Uint8Array(), options);
  const images: JobImage[] = [];
  for (const image of [scored.original, scored.reconstruction, scored.heatMap]) {
    if (!image) continue;
    const { width, height } = image;
    const rendered = { width, height, parameters: '', seed: undefined, png: () => encodePng(image) };
    images.push(await saveImage(job, rendered, images.length, context));
  }
  const { losses, leftOut, logLikelihood, withoutLikelihood, codes, usage, psnr, patches } = scored;
  const likelihood = logLikelihood && {
    ...{ total: logLikelihood.total, mean: logLikelihood.mean, condition: logLikelihood.condition },
    codes: rowsOf(logLikelihood.codes),
  };
  return {
    images,
    result: {
      ...{ codes, usage: usage && { ...usage }, losses: { ...losses }, leftOut, withoutLikelihood },
      psnr: Number.isFinite(psnr) ? psnr : null,
      patches: patches && rowsOf(patches),
      logLikelihood: likelihood,
    },
  };
}

/** Converts `[h, w]` to rows of numbers rounded to four decimals. */
function rowsOf(tensor: Tensor): number[][] {
  return Array.from({ length: tensor.shape.at(-2) ?? 0 }, (_, y) =>
    Array.from(tensor.at(y).data, (value) => Math.round(value * 1e4) / 1e4),
  );
}

async function sampleImage(
  job: Job,
  pipeline: VqganPipeline,
  control: Control,
  context: RunContext,
): Promise<RunOutcome> {
  const { input: sketch, options } = await callOf(job, control, context);
  const stream = sketch ? pipeline.sketch(sketch, options) : pipeline.sample(options);
  let last: SampleStep | undefined;
  for await (const step of stream) {
    if (!context.finish.aborted || step.done === step.total) continue;
    last = step;
    break;
  }
  return last ? unfinished(job, last, context) : finished(job, await stream.result, context);
}

async function finished(job: Job, sample: SampleResult, context: RunContext): Promise<RunOutcome> {
  const { image, codes, usage } = sample;
  return { images: [await saveImage(job, image, 0, context)], result: { codes, usage: { ...usage } } };
}

/** Saves the partial image of a job that is finished early. */
async function unfinished(job: Job, step: SampleStep, context: RunContext): Promise<RunOutcome> {
  const image = await step.preview();
  const { width, height } = image;
  const { seed } = job.options as { seed?: number };
  const partial = { width, height, parameters: '', seed, png: () => encodePng(image, {}) };
  const codes: Json = step.codes.map((row) => [...row]);
  return { images: [await saveImage(job, partial, 0, context)], result: { codes, usage: null } };
}
