/** Runs upscaling jobs: one or two upscalers whose results are mixed, as in A1111's "Extras". */

import { defined } from '../../defined.js';
import { encodePixels } from '../../image/encode-pixels.js';
import { nearest } from '../../image/fit.js';
import { mix } from '../../image/mix.js';
import { addPngText } from '../../image/png.js';
import { readImage } from '../../image/read.js';
import { type ByteImage, resample } from '../../image/resample.js';
import { loadSharp } from '../../image/sharp.js';
import { readTexts } from '../../image/texts.js';
import { resamplers, type UpscaleJobOptions } from '../../options/declarations/upscale.js';
import { EXACT_KEY } from '../../options/exact.js';
import { upscalerLabel } from '../../options/upscaler-names.js';
import { cropped, targetFields, targetOf, type UpscaleTarget } from '../../pipelines/upscale/target.js';
import { runsFor, upscaleTo } from '../../pipelines/upscale/upscale-to.js';
import { readImages } from '../images.js';
import { resamplerNamed, type Upscalers } from '../models/upscalers.js';
import type { Job } from '../types.js';
import { Clock } from './clock.js';
import type { RunContext, RunOutcome } from './context.js';
import { wasSkipped } from './generation.js';
import { saveImage } from './results.js';

interface Options extends UpscaleJobOptions {
  readonly upscaler: string;
  readonly second?: { readonly upscaler: string; readonly visibility: number };
}

/** @throws errors of `Upscaler.load` and `Upscaler.upscale`, ADAPTER_NOT_FOUND */
export async function runUpscale(job: Job, upscalers: Upscalers, context: RunContext): Promise<RunOutcome> {
  const skip = context.skip();
  try {
    return await upscaleImage(job, upscalers, {
      ...context,
      signal: AbortSignal.any([context.signal, skip]),
    });
  } catch (error) {
    if (wasSkipped(error, skip, context.signal)) return { images: [] };
    throw error;
  }
}

async function upscaleImage(job: Job, upscalers: Upscalers, context: RunContext): Promise<RunOutcome> {
  const options = job.options as unknown as Options;
  const { image: bytes = new Uint8Array() } = await readImages(job.id, job.options, context.data);
  const texts = await readTexts('image', bytes);
  const image = await decode(bytes);
  const target = targetOf(image, options);
  const { upscaler, second } = options;
  const isMixed = second !== undefined && second.visibility > 0;
  const names = isMixed ? [upscaler, second.upscaler] : [upscaler];
  const results: ByteImage[] = [];
  for (const [part, name] of names.entries()) {
    const turn = { part, parts: names.length };
    results.push(await enlarge(image, name, { target, options, turn }, upscalers, context));
  }
  const [first, other] = results;
  const mixed = isMixed ? await mix(first!, other!, second.visibility, context.signal) : first!;
  const result = cropped(mixed, target.crop);
  const fields = defined({
    ...targetFields(options),
    'Postprocess upscaler': labelOf(upscaler),
    'Postprocess upscaler 2': isMixed ? labelOf(second.upscaler) : undefined,
    'Postprocess upscaler 2 visibility': isMixed ? String(second.visibility) : undefined,
  });
  const postprocessing = Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}`)
    .join(', ');
  const { parameters = '' } = texts;
  const kept = defined({ parameters: texts.parameters, [EXACT_KEY]: texts[EXACT_KEY], postprocessing });
  const png = async () => addPngText(await encodePixels(result, 'png'), kept as Record<string, string>);
  const { width, height } = result;
  const saved = await saveImage(job, { width, height, seed: undefined, parameters, png }, 0, context);
  return { images: [saved], result: { postprocessing } };
}

interface Pass {
  readonly target: UpscaleTarget;
  readonly options: Options;
  readonly turn: { readonly part: number; readonly parts: number };
}

/** Enlarges an image with one upscaler. */
async function enlarge(
  image: ByteImage,
  name: string,
  { target, options: { tile, overlap }, turn }: Pass,
  upscalers: Upscalers,
  { signal, finish, emit }: RunContext,
): Promise<ByteImage> {
  const resampler = resamplerNamed(name);
  if (resampler === 'nearest') return nearest(image, target.width, target.height, signal);
  if (resampler === 'lanczos') return resample(image, target.width, target.height, 'lanczos', signal);
  const { pipeline, release } = await upscalers.use(name, signal, (step, steps) =>
    emit({ type: 'progress', data: { phase: 'load', step, steps, elapsed: 0 } }),
  );
  try {
    const runs = runsFor(pipeline.info.scale, image, target);
    const clock = new Clock(turn.parts * Math.max(1, runs));
    return await upscaleTo(pipeline, image, target, {
      ...{ tile, overlap, signal, finish },
      onProgress: (run, step, steps) => {
        const part = turn.part * runs + run;
        emit({ type: 'progress', data: clock.at(part, { phase: 'upscale', step, steps }) });
      },
    });
  } finally {
    release();
  }
}

/** Decodes an image, with alpha if the file has it. @throws INVALID_IMAGE */
async function decode(bytes: Uint8Array): Promise<ByteImage> {
  const sharp = await loadSharp();
  const { hasAlpha } = await sharp(bytes).metadata();
  return readImage(bytes, { alpha: hasAlpha ? 'keep' : 'white' });
}

function labelOf(name: string): string {
  const resampler = resamplerNamed(name);
  return resampler ? resamplers[resampler] : upscalerLabel(name);
}
