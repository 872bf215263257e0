/** One call: prompts encoded, batches denoised, latents decoded. Yields every step of the sampler on the way. */

import { throwIfAborted, unlessAborted } from '../../errors.js';
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import type { SamplingSettings } from '../../options/settings/sampling.js';
import { type Guidance, type GuidancePair, guidanceBranches } from '../../sampling/guidance.js';
import type { RgbImage } from '../../tensor/render.js';
import type { Warning } from '../../warnings.js';
import { checkGivenShape } from '../given-tensors.js';
import type { GeneratedImage } from '../image-result.js';
import type { Settings } from '../options.js';
import { ProgressReporter } from '../progress.js';
import { decodeOne } from './decode-image.js';
import { type Denoised, type DenoiseStep, denoiseSteps } from './denoising/denoise-loop.js';
import { endSteps } from './denoising/end-steps.js';
import { SessionSlot } from './denoising/session-slot.js';
import { checkRunFits, type RunSize } from './fit-run.js';
import { planFromLatent } from './from-latent.js';
import { encodeGiven } from './given-encodings.js';
import { type HiresPlan, planHires } from './hires.js';
import { warnIfLarge } from './image-size.js';
import { planImageToImage } from './image-to-image.js';
import { needsImage, planWithImage } from './ldm-inpaint.js';
import type { Pass, Plan } from './plan.js';
import { batchSeeds, type ImageBatch } from './seeds.js';
import { planTextToImage } from './text-to-image.js';

/** A step of the sampler in a call. */
export interface GenerationStep extends DenoiseStep {
  /** 1, or 2 in the second pass of hires fix. */
  readonly pass: 1 | 2;
  /** Position of the prompt in a list of them; 0 for a single one. */
  readonly promptIndex: number;
  /** Of the pictures of this batch. */
  readonly seeds: readonly number[];
  /** What the batch's first picture (or the `index`th) looks like so far. */
  preview(index?: number): Promise<RgbImage>;
}

export interface GenerateResult {
  readonly images: readonly GeneratedImage[];
  /** Of the first image. */
  readonly seed: number;
  /** From call to result. */
  readonly seconds: number;
  readonly warnings: readonly Warning[];
}

/**
 * Milliseconds in which an unfinished batch is decoded where the CPU does it. Images after the first that take longer are given as their
 * previews: who ends a batch early waits for its answer, and is not to wait for eight decodings.
 */
const PATIENCE = 400;

type Steps<T> = AsyncGenerator<GenerationStep, T>;

/** @throws every code of SafelightError that the stages name */
export async function* generateSteps(loaded: LoadedModel, settings: Settings): Steps<GenerateResult> {
  const reporter = new ProgressReporter(settings.onProgress);
  const loras = await loaded.adapt(settings.loras, settings.warnings, settings.signal);
  try {
    const text = { ...settings.text, patches: loras.text };
    return yield* adaptedSteps(loaded, { ...settings, text }, loras.unet, reporter);
  } finally {
    loras[Symbol.dispose]();
  }
}

/** @param patches name of the patch set that the network runs with */
async function* adaptedSteps(
  loaded: LoadedModel,
  settings: Settings,
  patches: string | undefined,
  reporter: ProgressReporter,
): Steps<GenerateResult> {
  const { count, seed, batch, finish } = settings;
  const { plan, hires, conditionings } = await prepare(loaded, settings, patches, reporter);
  const run = new Run(
    loaded,
    settings,
    conditionings,
    patches,
    reporter,
    Math.ceil(count / batch) * (plan.steps + (hires?.steps ?? 0)),
  );
  const images: GeneratedImage[] = [];
  try {
    for (let first = 0; first < count && !(finish?.aborted && first > 0); first += batch) {
      const pictures = { ...batchSeeds(settings, first, Math.min(batch, count - first)), first };
      const made = yield* run.passes(plan, hires, pictures);
      // Ended before the model saw this batch once: nothing of it is worth keeping beside finished images.
      if (made.unfinished && made.evaluations === 0 && first > 0) break;
      const late = made.unfinished ? AbortSignal.timeout(PATIENCE) : undefined;
      for (const [i, own] of pictures.seeds.entries()) {
        reporter.report('decode', images.length, count);
        const both = { seed: own, subseed: pictures.subseeds[i]! };
        const latent = made.latent.slice([i, i + 1]);
        images.push(await decodeOne(loaded, settings, plan, latent, both, i > 0 ? late : undefined));
      }
    }
  } finally {
    run.sessions[Symbol.dispose]();
  }
  reporter.report('decode', count, count);
  return { images, seed, seconds: reporter.elapsed, warnings: settings.warnings.list };
}

function planOf(loaded: LoadedModel, settings: Settings): Promise<Plan> {
  const { init, given } = settings;
  for (const tensor of Object.values(given))
    if (tensor) checkGivenShape(given, [loaded.facts.latentChannels, tensor.shape[2]!, tensor.shape[3]!]);
  if (needsImage(loaded)) return planWithImage(loaded, settings);
  if (given.latent) return planFromLatent(loaded, settings, given.latent);
  return init ? planImageToImage(loaded, { ...settings, init }) : planTextToImage(loaded, settings);
}

async function prepare(
  loaded: LoadedModel,
  settings: Settings,
  patches: string | undefined,
  reporter: ProgressReporter,
): Promise<{
  plan: Plan;
  hires: HiresPlan | undefined;
  conditionings: readonly [GuidancePair, GuidancePair];
}> {
  const { signal, prompt, negative } = settings;
  reporter.report('encode', 0, 2);
  const plan = await planOf(loaded, settings);
  const hires = settings.hires && (await planHires(loaded, settings, settings.hires, plan));
  warnIfLarge(settings.warnings, plan, loaded.facts.defaults);
  if (hires) warnIfLarge(settings.warnings, hires, loaded.facts.defaults, { what: 'A second pass' });
  reporter.report('encode', 1, 2);
  const conditioning = await encode(loaded, settings);
  // The second pass may have prompts of its own; the same ones are not encoded again.
  const own = { prompt: settings.hires?.prompt ?? prompt, negative: settings.hires?.negative ?? negative };
  const same = own.prompt === prompt && own.negative === negative;
  const second = same ? conditioning : await loaded.encode({ ...settings, ...own }, signal);
  const first = { ...plan, branches: guidanceBranches(conditioning, guidanceOf(settings.sampling)) };
  const passes: RunSize[] = [first];
  if (hires && settings.hires) {
    const guidance = guidanceOf(settings.hires.sampling);
    passes.push({ ...hires, branches: guidanceBranches(second, guidance) });
  }
  await checkRunFits(loaded, passes, Math.min(settings.batch, settings.count), signal, patches);
  reporter.report('encode', 2, 2);
  return { plan, hires, conditionings: [conditioning, second] };
}

function encode(loaded: LoadedModel, settings: Settings): Promise<GuidancePair> {
  const { embeddings, text, signal } = settings;
  if (!embeddings) return loaded.encode(settings, signal);
  return encodeGiven(loaded, embeddings, text, { prefix: 'embeddings.', signal });
}

export function guidanceOf(sampling: SamplingSettings): Guidance {
  const { cfg, guidanceInterval, guidanceRescale } = sampling;
  return { scale: cfg, interval: guidanceInterval, rescale: guidanceRescale };
}

/** The passes of one call, which count their steps together. */
class Run {
  readonly sessions = new SessionSlot();
  private done = 0;

  constructor(
    private readonly loaded: LoadedModel,
    private readonly settings: Settings,
    /** Of the first pass and of the second. */
    private readonly conditionings: readonly [GuidancePair, GuidancePair],
    private readonly patches: string | undefined,
    private readonly reporter: ProgressReporter,
    /** Steps that are to come; corrected where a sampler takes others than its schedule has. */
    private planned: number,
  ) {}

  /** Both passes of a batch; ended early, what the last evaluation saw, or the first pass's images where the second saw nothing. */
  async *passes(plan: Plan, hires: HiresPlan | undefined, pictures: ImageBatch): Steps<Denoised> {
    const { finish } = this.settings;
    const first = yield* this.pass(plan.pass(pictures), pictures.seeds, plan, 1);
    if (!hires || first.unfinished) return first;
    const before = first.latent;
    let second: Pass;
    try {
      second = await unlessAborted(hires.pass(before, pictures, finish), finish);
    } catch (error) {
      throwIfAborted(this.settings.signal);
      if (finish?.aborted) return first;
      throw error;
    }
    const last = yield* this.pass({ ...second, before }, pictures.seeds, hires, 2);
    return last.evaluations === 0 ? first : last;
  }

  private async *pass(
    pass: Pass,
    seeds: readonly number[],
    size: { readonly width: number; readonly height: number; readonly steps: number },
    number: 1 | 2,
  ): Steps<Denoised> {
    const { taps, predictions, edit, signal, finish, hires } = this.settings;
    const sampling = number === 2 && hires ? hires.sampling : this.settings.sampling;
    this.reporter.report('denoise', this.done, this.planned);
    const steps = denoiseSteps(await this.loaded.denoiser(signal, this.patches), {
      ...pass,
      sampler: sampling.sampler,
      samplerOptions: sampling.sampling,
      conditioning: this.conditionings[number - 1]!,
      guidance: guidanceOf(sampling),
      sessions: this.sessions,
      deepCache: sampling.deepCache,
      ...{ taps, predictions, edit, signal, finish },
    });
    let taken = 0;
    try {
      for (;;) {
        const next = await steps.next();
        if (next.done) {
          this.done += taken;
          this.planned += taken - size.steps;
          return next.value;
        }
        const step = next.value;
        const preview = (index = 0): Promise<RgbImage> =>
          this.loaded.preview.render(step.x0.at(index), size.width, size.height);
        taken = step.step + 1;
        const planned = this.planned + step.steps - size.steps;
        this.reporter.report('denoise', this.done + taken, planned, preview);
        yield { ...step, pass: number, promptIndex: 0, seeds, preview };
      }
    } finally {
      await endSteps(steps);
    }
  }
}
