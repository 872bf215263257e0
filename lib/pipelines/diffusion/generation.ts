/** Generation of images: encodes prompts, denoises batches and decodes latents. Yields each step of the sampler. */

import type { GenerationDefaults } from '../../checkpoint/config/types.js';
import type { Evaluations } from '../../conditioning/prompt-schedule.js';
import { throwIfAborted, unlessAborted } from '../../errors.js';
import type { LoadedModel, ModelFacts } from '../../families/shared/loaded-model.js';
import type { SamplingSettings } from '../../options/settings/sampling.js';
import { planBranches } from '../../sampling/branch-plan.js';
import type { Guidance, GuidanceSchedule } from '../../sampling/guidance.js';
import type { RgbImage } from '../../tensor/render.js';
import type { Warning } from '../../warnings.js';
import type { GeneratedImage } from '../image-result.js';
import { checkInitialShape } from '../initial-tensors.js';
import type { Settings } from '../options.js';
import { ProgressReporter } from '../progress.js';
import { checkRunFits } from './check-run-memory.js';
import { decodeOne } from './decode-image.js';
import { type Denoised, type DenoiseStep, denoiseSteps } from './denoising/denoise-loop.js';
import { endSteps } from './denoising/end-steps.js';
import { SessionSlot } from './denoising/session-slot.js';
import { planFromLatent } from './from-latent.js';
import { type HiresPlan, planHires } from './hires.js';
import { warnIfLarge } from './image-size.js';
import { planImageToImage } from './image-to-image.js';
import { needsImage, planWithImage } from './ldm-inpaint.js';
import type { Pass, Plan } from './plan.js';
import { AdaptedPass, evaluationsOf } from './prompts/adapted-pass.js';
import { hashFields } from './prompts/adapter-hashes.js';
import { alignEncodings } from './prompts/prompt-encodings.js';
import { withoutUnusedNegative } from './prompts/unused-negative.js';
import { batchSeeds, type ImageBatch } from './seeds.js';
import { planTextToImage } from './text-to-image.js';

/** A step of the sampler in a generation. */
export interface GenerationStep extends DenoiseStep {
  /** 1, or 2 in the second pass of hires fix. */
  readonly pass: 1 | 2;
  /** Index of the prompt in a list of prompts; 0 for a single prompt. */
  readonly promptIndex: number;
  /** Seeds of the images of this batch. */
  readonly seeds: readonly number[];
  /** Renders a preview of the batch's image at `index` (default 0). */
  preview(index?: number): Promise<RgbImage>;
}

export interface GenerateResult {
  readonly images: readonly GeneratedImage[];
  /** Seed of the first image. */
  readonly seed: number;
  /** Duration of the call in seconds. */
  readonly seconds: number;
  readonly warnings: readonly Warning[];
  /**
   * Default options that determined the images because the model or a LoRA is distilled for few steps; undefined if there
   * are none. Also stated in a FEW_STEP_DEFAULTS warning.
   */
  readonly defaults?: GenerationDefaults;
}

/**
 * Time limit in milliseconds for decoding an unfinished batch on the CPU; images after the first that exceed it are
 * returned as previews, so that `finish` returns quickly.
 */
const MAX_DECODE_TIME = 400;

type Steps<T> = AsyncGenerator<GenerationStep, T>;

/**
 * Generates the images of a call.
 * @throws INVALID_OPTION, FILE_NOT_FOUND, INVALID_IMAGE, ADAPTER_NOT_FOUND, ADAPTER_MISMATCH, UNSUPPORTED_ADAPTER,
 *   UNSUPPORTED_MODEL, NOT_FINITE, DOES_NOT_FIT, OUT_OF_MEMORY, ABORTED, DISPOSED, and errors of loading a module
 */
export async function* generateSteps(loaded: LoadedModel, given: Settings): Steps<GenerateResult> {
  const settings = withoutUnusedNegative(loaded, given);
  const reporter = new ProgressReporter(settings.onProgress);
  const { prompt, negative, hires } = settings;
  const texts = { prompt, negative };
  const second = { prompt: hires?.prompt ?? prompt, negative: hires?.negative ?? negative };
  const first = await AdaptedPass.open(loaded, settings, texts);
  try {
    const same = second.prompt === prompt && second.negative === negative;
    const last = same ? first : await AdaptedPass.open(loaded, settings, second);
    try {
      return yield* adaptedSteps(loaded, settings, [first, last], reporter);
    } finally {
      last[Symbol.dispose]();
    }
  } finally {
    first[Symbol.dispose]();
  }
}

/** Generates images once the LoRAs of both passes are registered. */
async function* adaptedSteps(
  loaded: LoadedModel,
  settings: Settings,
  adapted: readonly [AdaptedPass, AdaptedPass],
  reporter: ProgressReporter,
): Steps<GenerateResult> {
  const { count, seed, batch, finish } = settings;
  const { plan, hires, conditionings } = await prepare(loaded, settings, adapted, reporter);
  const [first, last] = adapted;
  const hashes = hashFields([...first.loras, ...last.loras], [...first.embeddings, ...last.embeddings]);
  // Awaited with the first image; a failure before that must not end the process.
  hashes.catch(() => undefined);
  const run = new Run(
    loaded,
    settings,
    conditionings,
    [first.patches, last.patches],
    reporter,
    Math.ceil(count / batch) * (plan.steps + (hires?.steps ?? 0)),
  );
  const images: GeneratedImage[] = [];
  try {
    for (let start = 0; start < count && !(finish?.aborted && start > 0); start += batch) {
      const imageBatch = { ...batchSeeds(settings, start, Math.min(batch, count - start)), first: start };
      const denoised = yield* run.passes(plan, hires, imageBatch);
      // A further batch that `finish` ended before its first evaluation is only noise and is dropped.
      if (denoised.unfinished && denoised.evaluations === 0 && start > 0) break;
      const late = denoised.unfinished ? AbortSignal.timeout(MAX_DECODE_TIME) : undefined;
      for (const [i, imageSeed] of imageBatch.seeds.entries()) {
        reporter.report('decode', images.length, count);
        const seeds = { seed: imageSeed, subseed: imageBatch.subseeds[i]! };
        const latent = denoised.latent.slice([i, i + 1]);
        const image = { plan, latent, seeds, hashes };
        images.push(await decodeOne(loaded, settings, image, i > 0 ? late : undefined));
      }
    }
  } finally {
    run.sessions[Symbol.dispose]();
  }
  reporter.report('decode', count, count);
  const { warnings, fewStepDefaults: defaults } = settings;
  return {
    ...{ images, seed, seconds: reporter.elapsed, warnings: warnings.list },
    ...(defaults ? { defaults } : {}),
  };
}

function planOf(loaded: LoadedModel, settings: Settings): Promise<Plan> {
  const { init, given } = settings;
  for (const tensor of Object.values(given))
    if (tensor) checkInitialShape(given, [loaded.facts.latentChannels, tensor.shape[2]!, tensor.shape[3]!]);
  if (needsImage(loaded)) return planWithImage(loaded, settings);
  if (given.latent) return planFromLatent(loaded, settings, given.latent);
  return init ? planImageToImage(loaded, { ...settings, init }) : planTextToImage(loaded, settings);
}

interface Prepared {
  readonly plan: Plan;
  readonly hires: HiresPlan | undefined;
  /** Conditioning of the first and the second pass. */
  readonly conditionings: readonly [GuidanceSchedule, GuidanceSchedule];
}

async function prepare(
  loaded: LoadedModel,
  settings: Settings,
  [first, last]: readonly [AdaptedPass, AdaptedPass],
  reporter: ProgressReporter,
): Promise<Prepared> {
  const { sampling } = settings;
  reporter.report('encode', 0, 2);
  const plan = await planOf(loaded, settings);
  const hires = settings.hires && (await planHires(loaded, settings, settings.hires, plan));
  warnIfLarge(settings.warnings, plan, loaded.facts.defaults);
  if (hires) warnIfLarge(settings.warnings, hires, loaded.facts.defaults, { what: 'A second pass' });
  reporter.report('encode', 1, 2);
  const steps = evaluationsOf(sampling);
  const conditioning = await encode(loaded, settings, first, plan, { steps });
  const { width, height } = plan;
  const sizes = [
    {
      ...{ width, height, conditioning, patches: first.patches },
      ...{ guidance: guidanceOf(sampling, loaded.facts), stepCache: sampling.stepCache },
    },
  ];
  let second = conditioning;
  if (hires && settings.hires) {
    const settled = settings.hires;
    const evaluations = { steps: evaluationsOf(settled.sampling, settled.steps), before: steps };
    second = await encode(loaded, settings, last, hires, evaluations);
    const guidance = guidanceOf(settled.sampling, loaded.facts);
    const size = { width: hires.width, height: hires.height };
    const { stepCache } = settled.sampling;
    sizes.push({ ...size, conditioning: second, guidance, patches: last.patches, stepCache });
  }
  for (const { conditioning: schedule, guidance, patches, ...size } of sizes) {
    const run = { ...size, plan: planBranches(schedule, guidance) };
    await checkRunFits(loaded, [run], Math.min(settings.batch, settings.count), settings.signal, patches);
  }
  reporter.report('encode', 2, 2);
  return { plan, hires, conditionings: [conditioning, second] };
}

function encode(
  loaded: LoadedModel,
  settings: Settings,
  pass: AdaptedPass,
  { width, height }: { readonly width: number; readonly height: number },
  evaluations: Evaluations,
): Promise<GuidanceSchedule> {
  const { embeddings, text, signal } = settings;
  const { downsampleFactor } = loaded.facts;
  if (embeddings)
    return alignEncodings(
      loaded,
      embeddings,
      { ...text, patches: pass.textPatches },
      { prefix: 'embeddings.', signal },
    );
  return pass.encode({ evaluations, width: width / downsampleFactor, height: height / downsampleFactor });
}

/** Returns the guidance of sampling settings. */
export function guidanceOf(sampling: SamplingSettings, { guidance }: Pick<ModelFacts, 'guidance'>): Guidance {
  const { cfg, guidanceInterval, guidanceRescale, apg, pag, sag } = sampling;
  const embedded = guidance === 'embedded';
  return {
    ...{ scale: cfg, interval: guidanceInterval, rescale: guidanceRescale, projection: apg, embedded },
    ...{ perturbation: pag, selfAttention: sag },
  };
}

/** The passes of a call, with their combined progress. */
class Run {
  readonly sessions = new SessionSlot();
  private done = 0;

  constructor(
    private readonly loaded: LoadedModel,
    private readonly settings: Settings,
    private readonly conditionings: Prepared['conditionings'],
    /** Patch sets of the network in the first and the second pass. */
    private readonly patches: readonly [string | undefined, string | undefined],
    private readonly reporter: ProgressReporter,
    /** Total number of steps; corrected if a sampler runs another number than its schedule has. */
    private planned: number,
  ) {}

  /**
   * Runs the passes of a batch. If `finish` ends them early, returns the x0 of the last evaluation; if that is before
   * the first evaluation of the second pass, the result of the first pass.
   */
  async *passes(plan: Plan, hires: HiresPlan | undefined, imageBatch: ImageBatch): Steps<Denoised> {
    const { finish } = this.settings;
    const first = yield* this.pass(plan.pass(imageBatch), imageBatch.seeds, plan, 1);
    if (!hires || first.unfinished) return first;
    const before = first.latent;
    let second: Pass;
    try {
      second = await unlessAborted(hires.pass(before, imageBatch, finish), finish);
    } catch (error) {
      throwIfAborted(this.settings.signal);
      if (finish?.aborted) return first;
      throw error;
    }
    const last = yield* this.pass({ ...second, before }, imageBatch.seeds, hires, 2);
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
    const steps = denoiseSteps(await this.loaded.denoiser(signal, this.patches[number - 1]), {
      ...pass,
      sampler: sampling.sampler,
      samplerOptions: sampling.sampling,
      conditioning: this.conditionings[number - 1]!,
      guidance: guidanceOf(sampling, this.loaded.facts),
      sessions: this.sessions,
      ...{ stepCache: sampling.stepCache, changes: sampling.changes },
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
