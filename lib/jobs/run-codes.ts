/** Jobs of models that turn pictures into codes: reconstructing, and writing after a drawing, a class or nothing. */
import { encodePng } from '../image/png.js';
import type { Progress } from '../pipelines/progress.js';
import type { SampleResult, SampleStep } from '../pipelines/vqgan/sample.js';
import type { CodesPipeline } from '../pipelines/vqgan/vqgan-pipeline.js';
import type { Tensor } from '../tensor/tensor.js';
import type { OnWarning } from '../warnings.js';
import { Clock } from './clock.js';
import type { Json } from './json.js';
import { readPictures, withoutPictures } from './pictures.js';
import { Previewer } from './previewer.js';
import { keep, type RunContext, type RunOutcome } from './results.js';
import { wasSkipped } from './run-generation.js';
import type { Job, JobImage } from './types.js';

/** What a call is given, besides its options. */
interface Control {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
  readonly onWarning: OnWarning;
}

/** @throws what `CodesPipeline`'s calls throw */
export async function runCodes(job: Job, pipeline: CodesPipeline, context: RunContext): Promise<RunOutcome> {
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
    return await write(job, pipeline, control, context);
  } catch (error) {
    if (wasSkipped(error, skip, signal)) return { images: [] };
    throw error;
  } finally {
    await previewer.end(control.signal.aborted);
  }
}

/** A job's picture, if it has one, and the rest of its options with what every call is given. */
async function callOf(job: Job, control: Control, context: RunContext) {
  const { image } = await readPictures(job.id, job.options, context.data);
  return { picture: image, options: { ...withoutPictures(job.options), ...control } };
}

async function reconstruct(
  job: Job,
  pipeline: CodesPipeline,
  control: Control,
  context: RunContext,
): Promise<RunOutcome> {
  const { picture, options } = await callOf(job, control, context);
  const { image, psnr, codes, usage } = await pipeline.reconstruct(picture ?? new Uint8Array(), options);
  const kept = await keep(job, image, 0, context);
  // JSON has no infinity: the same picture again is null.
  const result = { psnr: Number.isFinite(psnr) ? psnr : null, codes, usage: usage && { ...usage } };
  return { images: [kept], result };
}

/** How the model sees a picture: as it was encoded, as it is made again, and where it looks real. */
async function score(
  job: Job,
  pipeline: CodesPipeline,
  control: Control,
  context: RunContext,
): Promise<RunOutcome> {
  const { picture, options } = await callOf(job, control, context);
  const seen = await pipeline.score(picture ?? new Uint8Array(), options);
  const images: JobImage[] = [];
  for (const image of [seen.original, seen.reconstruction, seen.heatMap]) {
    if (!image) continue;
    const { width, height } = image;
    const shown = { width, height, parameters: '', seed: undefined, png: () => encodePng(image) };
    images.push(await keep(job, shown, images.length, context));
  }
  const { losses, leftOut, logLikelihood, withoutLikelihood, codes, usage, psnr, patches } = seen;
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

/** The rows of `[h, w]`, to four digits behind the point. */
function rowsOf(tensor: Tensor): number[][] {
  return Array.from({ length: tensor.shape.at(-2) ?? 0 }, (_, y) =>
    Array.from(tensor.at(y).data, (value) => Math.round(value * 1e4) / 1e4),
  );
}

async function write(
  job: Job,
  pipeline: CodesPipeline,
  control: Control,
  context: RunContext,
): Promise<RunOutcome> {
  const { picture: drawing, options } = await callOf(job, control, context);
  const stream = drawing ? pipeline.sketch(drawing, options) : pipeline.sample(options);
  let last: SampleStep | undefined;
  for await (const step of stream) {
    if (!context.finish.aborted || step.done === step.total) continue;
    last = step;
    break;
  }
  return last ? unfinished(job, last, context) : finished(job, await stream.result, context);
}

async function finished(job: Job, made: SampleResult, context: RunContext): Promise<RunOutcome> {
  const { image, codes, usage } = made;
  return { images: [await keep(job, image, 0, context)], result: { codes, usage: { ...usage } } };
}

/** The picture so far, where the job was told to stop and keep it. */
async function unfinished(job: Job, step: SampleStep, context: RunContext): Promise<RunOutcome> {
  const image = await step.preview();
  const { width, height } = image;
  const { seed } = job.options as { seed?: number };
  const picture = { width, height, parameters: '', seed, png: () => encodePng(image, {}) };
  const codes: Json = step.codes.map((row) => [...row]);
  return { images: [await keep(job, picture, 0, context)], result: { codes, usage: null } };
}
