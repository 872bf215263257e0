/**
 * A look inside: one picture of an earlier job is made again, and on the way its latents, the attention to each word of its prompt and the
 * tensors that were asked for are written down. What comes out is a few files: strips of small pictures, and `inside.json`, which says what
 * lies where.
 */
import { invalidOption } from '../errors.js';
import { encodePng } from '../image/png.js';
import type { GenerationStep } from '../pipelines/diffusion/generation.js';
import type { Pipeline } from '../pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../pipelines/options.js';
import { isCrossAttention } from '../pipelines/trace/attention-map.js';
import type { Tensor } from '../tensor/tensor.js';
import { Clock } from './clock.js';
import { grayChannels, Strip, shrunk } from './inside-strip.js';
import { nodesOf, parseTensor, TensorRecord } from './inside-tensors.js';
import { WordMaps } from './inside-words.js';
import { readPictures } from './pictures.js';
import { keepFile, type RunContext, type RunOutcome } from './results.js';
import type { Job, JobImage } from './types.js';

/** Steps that are written down at most, evenly spread. */
const MOST_STEPS = 64;
/** Pixels of a preview's longer side. */
const PREVIEW = 192;

interface InsideOptions {
  readonly settings: GenerateOptions & { readonly seed: number };
  readonly tensors?: readonly string[];
}

/** @throws what `Pipeline.generate` throws; INVALID_OPTION for a tensor that is not there */
export async function runInside(job: Job, pipeline: Pipeline, context: RunContext): Promise<RunOutcome> {
  const { settings, tensors = [] } = job.options as unknown as InsideOptions;
  const pictures = await readPictures(job.id, job.options, context.data);
  const { signal, emit } = context;
  const clock = new Clock(1);
  const words = await WordMaps.of(pipeline, settings.prompt ?? '');
  const nodes = await nodesOf(pipeline, settings);
  const attention = nodes.unet!.map(({ name }) => name).filter(isCrossAttention);
  const records = tensors.map((asked) => ({ ...parseTensor(asked), record: new TensorRecord(asked) }));
  for (const { module, name, record } of records) {
    if (!nodes[module]?.some((node) => node.name === name))
      throw invalidOption(
        'tensors',
        `names of nodes (inside.json of a look without any lists them)`,
        record.asked,
      );
  }
  const ofUnet = records.filter(({ module }) => module === 'unet');
  const stream = pipeline.stream({
    ...settings,
    ...pictures,
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
  await tapTheRest(pipeline, records, { prompt: settings.prompt ?? '', latent: image!.latent, signal });
  const files = new Files(job, context);
  const maps = await files.strip('words.png', wordStrip(words, image!.latent));
  const seen = {
    prompt: settings.prompt ?? '',
    width: image!.width,
    height: image!.height,
    steps: recorder.steps,
    words: maps,
    tensors: await Promise.all(records.map(async ({ record }, i) => files.tensor(record, `tensor-${i}.png`))),
    nodes,
  };
  await files.strip('latents.png', { strip: recorder.latents, told: null });
  await files.strip('previews.png', { strip: recorder.previews, told: null });
  await files.json('inside.json', seen);
  return {
    images: files.kept,
    result: { steps: recorder.steps.length, words: maps.map(({ word }) => word) },
  };
}

/** Text encoders and the decoder run once, beside the picture's own run. */
async function tapTheRest(
  pipeline: Pipeline,
  records: readonly { readonly module: string; readonly name: string; readonly record: TensorRecord }[],
  given: { readonly prompt: string; readonly latent: Tensor; readonly signal: AbortSignal },
): Promise<void> {
  for (const module of ['text_encoder', 'text_encoder_2', 'decoder'] as const) {
    const asked = records.filter((one) => one.module === module);
    if (asked.length === 0) continue;
    const names = asked.map(({ name }) => name);
    const { prompt, latent, signal } = given;
    const taps = await pipeline.tap(
      module === 'decoder' ? { module, names, latent, signal } : { module, names, prompt, signal },
    );
    for (const { name, record } of asked) record.add(0, taps[name]!);
  }
}

/** The latent and what the model sees in it, step by step. */
class StepRecorder {
  readonly latents = new Strip(1);
  readonly previews = new Strip(3);
  readonly steps: object[] = [];

  async add(step: GenerationStep): Promise<void> {
    const every = Math.ceil(step.steps / MOST_STEPS);
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
  const told = words.maps(latent).flatMap(({ word, map }) => {
    const [height = 0, width = 0] = map.shape;
    const data = Uint8Array.from(map.data, (value) => Math.round(255 * value));
    const place = strip.add({ data, width, height });
    return place ? [{ word, ...place }] : [];
  });
  return { strip, told };
}

/** The job's files, each told of as a result. */
class Files {
  readonly kept: JobImage[] = [];

  constructor(
    private readonly job: Job,
    private readonly context: RunContext,
  ) {}

  /** @returns what is told of its parts */
  async strip<T>(name: string, { strip, told }: { readonly strip: Strip; readonly told: T }): Promise<T> {
    if (strip.empty) return told;
    const { data, width, height } = await strip.png();
    this.kept.push(await keepFile(this.job, { name, type: 'image/png', width, height }, data, this.context));
    return told;
  }

  async tensor(record: TensorRecord, name: string) {
    const picture = record.picture();
    if (!picture) return record.told();
    const { width, height } = picture;
    const data = await encodePng(picture);
    this.kept.push(await keepFile(this.job, { name, type: 'image/png', width, height }, data, this.context));
    return { ...record.told(), picture: name };
  }

  async json(name: string, value: unknown): Promise<void> {
    const data = Buffer.from(JSON.stringify(value));
    const file = { name, type: 'application/json', width: 0, height: 0 };
    this.kept.push(await keepFile(this.job, file, data, this.context));
  }
}
