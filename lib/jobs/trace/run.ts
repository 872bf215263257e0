/**
 * Runs a trace: generates an image of an earlier job again and records its latents, the cross-attention to each
 * word of its prompt and the requested tensors. The results are strips of small images, and `inside.json` with the
 * position of each image.
 */
import { invalidOption } from '../../errors.js';
import { encodePng } from '../../image/png.js';
import { generationFields } from '../../options/declarations/generation.js';
import { fromJson } from '../../options/json.js';
import type { GenerationStep } from '../../pipelines/diffusion/generation.js';
import type { Pipeline } from '../../pipelines/diffusion/pipeline.js';
import { isCrossAttention } from '../../pipelines/trace/attention-map.js';
import type { Tensor } from '../../tensor/tensor.js';
import { readImages } from '../images.js';
import type { Upscalers } from '../models/upscalers.js';
import { Clock } from '../run/clock.js';
import type { RunContext, RunOutcome } from '../run/context.js';
import { saveFile } from '../run/results.js';
import type { Job, JobImage } from '../types.js';
import { grayChannels, Strip, shrunk } from './strip.js';
import { nodesOf, parseTensor, TensorRecord } from './tensors.js';
import { WordMaps } from './words.js';

/** Maximum number of recorded steps, evenly spaced. */
const MAX_STEPS = 64;
/** Longer side of a preview in pixels. */
const PREVIEW = 192;

/** @throws errors of `Pipeline.generate`, INVALID_OPTION for an unknown tensor */
export async function runTrace(
  job: Job,
  pipeline: Pipeline,
  context: RunContext,
  upscalers: Pick<Upscalers, 'located'>,
): Promise<RunOutcome> {
  const settings = await upscalers.located(fromJson(generationFields, job.options.settings));
  const tensors = Array.isArray(job.options.tensors) ? job.options.tensors.map(String) : [];
  const images = await readImages(job.id, job.options, context.data);
  const { signal, emit } = context;
  const clock = new Clock(1);
  const words = await WordMaps.of(pipeline, settings.prompt ?? '');
  const nodes = await nodesOf(pipeline, settings);
  const attention = nodes.unet!.map(({ name }) => name).filter(isCrossAttention);
  const records = tensors.map((text) => ({ ...parseTensor(text), record: new TensorRecord(text) }));
  for (const { module, name, record } of records) {
    if (!nodes[module]?.some((node) => node.name === name))
      throw invalidOption(
        'tensors',
        'names of nodes (listed in inside.json of a job without tensors)',
        record.requested,
      );
  }
  const ofUnet = records.filter(({ module }) => module === 'unet');
  const stream = pipeline.stream({
    ...settings,
    ...images,
    taps: [...new Set([...attention, ...ofUnet.map(({ name }) => name)])],
    signal,
    onWarning: (warning) => emit({ type: 'warning', data: warning }),
    onProgress: (progress) => emit({ type: 'progress', data: clock.at(0, progress) }),
  });
  const recorder = new StepRecorder();
  for await (const step of stream) {
    if (step.pass === 1) words.add(step);
    await recorder.add(step);
    for (const { name, record } of ofUnet) record.add(step.step, step.taps[name]!);
  }
  const [image] = (await stream.result).images;
  await tapOtherModules(pipeline, records, { prompt: settings.prompt ?? '', latent: image!.latent, signal });
  const files = new ResultFiles(job, context);
  const maps = await files.strip('words.png', wordStrip(words, image!.latent));
  const trace = {
    prompt: settings.prompt ?? '',
    width: image!.width,
    height: image!.height,
    steps: recorder.steps,
    words: maps,
    tensors: await Promise.all(records.map(async ({ record }, i) => files.tensor(record, `tensor-${i}.png`))),
    nodes,
  };
  await files.strip('latents.png', { strip: recorder.latents, entries: null });
  await files.strip('previews.png', { strip: recorder.previews, entries: null });
  await files.json('inside.json', trace);
  return {
    images: files.saved,
    result: { steps: recorder.steps.length, words: maps.map(({ word }) => word) },
  };
}

/** Records tensors of the text encoders and the decoder, which run once, in separate runs. */
async function tapOtherModules(
  pipeline: Pipeline,
  records: readonly { readonly module: string; readonly name: string; readonly record: TensorRecord }[],
  inputs: { readonly prompt: string; readonly latent: Tensor; readonly signal: AbortSignal },
): Promise<void> {
  for (const module of ['text_encoder', 'text_encoder_2', 'decoder'] as const) {
    const requested = records.filter((record) => record.module === module);
    if (requested.length === 0) continue;
    const names = requested.map(({ name }) => name);
    const { prompt, latent, signal } = inputs;
    const taps = await pipeline.tap(
      module === 'decoder' ? { module, names, latent, signal } : { module, names, prompt, signal },
    );
    for (const { name, record } of requested) record.add(0, taps[name]!);
  }
}

/** Records latents and previews of each step. */
class StepRecorder {
  readonly latents = new Strip(1);
  readonly previews = new Strip(3);
  readonly steps: object[] = [];

  async add(step: GenerationStep): Promise<void> {
    const every = Math.ceil(step.steps / MAX_STEPS);
    if (step.step % every !== 0 && step.step !== step.steps - 1) return;
    const latent = step.latent.at(0);
    const [channels = 0, height = 0, width = 0] = latent.shape;
    const planes = Array.from({ length: channels }, (_, c) => latent.at(c));
    const place = this.latents.add(
      grayChannels(
        planes.map(({ data }) => data),
        width,
        height,
      ),
    );
    const preview = this.previews.add(await shrunk(await step.preview(), PREVIEW));
    const { pass, sigma, sigmaNext } = step;
    this.steps.push({
      ...{ step: step.step, steps: step.steps, pass, sigma, sigmaNext, channels },
      ...{ latent: place, preview },
      stats: { latent: planes.map((plane) => plane.stats()), x0: step.x0.at(0).stats() },
    });
  }
}

function wordStrip(words: WordMaps, latent: Tensor) {
  const strip = new Strip(1);
  const entries = words.maps(latent).flatMap(({ word, map }) => {
    const [height = 0, width = 0] = map.shape;
    const data = Uint8Array.from(map.data, (value) => Math.round(255 * value));
    const place = strip.add({ data, width, height });
    return place ? [{ word, ...place }] : [];
  });
  return { strip, entries };
}

/** Writes the result files of the job. */
class ResultFiles {
  readonly saved: JobImage[] = [];

  constructor(
    private readonly job: Job,
    private readonly context: RunContext,
  ) {}

  /** Writes a strip unless it is empty. @returns its entries */
  async strip<T>(
    name: string,
    { strip, entries }: { readonly strip: Strip; readonly entries: T },
  ): Promise<T> {
    if (strip.empty) return entries;
    const { data, width, height } = await strip.png();
    this.saved.push(await saveFile(this.job, { name, type: 'image/png', width, height }, data, this.context));
    return entries;
  }

  async tensor(record: TensorRecord, name: string) {
    const map = record.heatMap();
    if (!map) return record.snapshot();
    const { width, height } = map;
    const data = await encodePng(map);
    this.saved.push(await saveFile(this.job, { name, type: 'image/png', width, height }, data, this.context));
    return { ...record.snapshot(), picture: name };
  }

  async json(name: string, value: unknown): Promise<void> {
    const data = Buffer.from(JSON.stringify(value));
    const file = { name, type: 'application/json', width: 0, height: 0 };
    this.saved.push(await saveFile(this.job, file, data, this.context));
  }
}
