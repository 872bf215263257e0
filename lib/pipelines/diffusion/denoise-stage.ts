/** The denoising stage of a pipeline: from encodings to latents. */
import { invalidOption, SafelightError } from '../../errors.js';
import type { DenoiseModel } from '../../families/shared/denoise-model.js';
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import { checkCallback } from '../../known-keys.js';
import * as check from '../../options/check.js';
import { samplingFields } from '../../options/declarations/sampling.js';
import { resolveCondition, resolveGuidance } from '../../options/settings/condition.js';
import {
  type ApiSamplingOptions,
  largestBatch,
  resolveSamplingOptions,
} from '../../options/settings/sampling.js';
import type { Rng } from '../../sampling/generators/index.js';
import type { GuidanceSchedule } from '../../sampling/guidance.js';
import { createNoise } from '../../sampling/noise.js';
import { addNoise } from '../../sampling/noise-schedule.js';
import { initialNoiseScale } from '../../sampling/samplers/index.js';
import type { RgbImage } from '../../tensor/render.js';
import { Tensor } from '../../tensor/tensor.js';
import type { OnWarning } from '../../warnings.js';
import { copyInitialTensors, type InitialTensors, rowsOf, sizeWith } from '../initial-tensors.js';
import { checkControl, checkEdit, checkSize, checkTaps, resolveText } from '../options.js';
import { type OnProgress, ProgressReporter } from '../progress.js';
import type { GivenEncoding } from './check-encoding.js';
import { type DenoiseStep, denoiseSteps } from './denoising/denoise-loop.js';
import type { DenoiseRun } from './denoising/denoise-run.js';
import type { Edits } from './denoising/edited-network.js';
import { endSteps } from './denoising/end-steps.js';
import { SessionSlot } from './denoising/session-slot.js';
import { brownianRange, fullSigmas, partialSigmas } from './denoising/sigmas.js';
import { guidanceOf } from './generation.js';
import { warnIfLarge } from './image-size.js';
import { needsImage } from './ldm-inpaint.js';
import { alignEncodings } from './prompts/prompt-encodings.js';
import { warnOfNegative } from './prompts/unused-negative.js';
import { maskedEverywhere } from './text-to-image.js';

export interface DenoiseOptions extends ApiSamplingOptions {
  /** Encoding of the prompt, as returned by `pipeline.encodeText`; required for text-conditional models. */
  readonly positive?: GivenEncoding;
  /** Encoding of the negative prompt; default that of the empty prompt. */
  readonly negative?: GivenEncoding;
  /** Class index, for class-conditional models. */
  readonly class?: number;
  /** Width in pixels; default the model's, or the latent's with `latent`. */
  readonly width?: number;
  /** Height in pixels, as `width`. */
  readonly height?: number;
  /** Seed of the first image; default 0, -1 for a random seed. */
  readonly seed?: number;
  /** Number of images, 1 to 64; default 1. */
  readonly count?: number;
  /** Random number generator; default `cpu`. */
  readonly rng?: Rng;
  /** Initial latent without noise, `[1 or count, C, h, w]`, as returned by `pipeline.encode`. */
  readonly latent?: Tensor;
  /** Denoising strength for `latent`, 0 to 1; default 0.75. */
  readonly strength?: number;
  /** Initial noise instead of the seed's: `[1 or count, C, h, w]`, of unit variance. */
  readonly noise?: Tensor;
  /** Names of U-Net nodes (see `pipeline.nodes`) whose values each step returns. */
  readonly taps?: readonly string[];
  /** Functions that modify values of U-Net nodes, as in `generate`. */
  readonly edit?: Edits;
  /** Adds the network's predictions to each step (`step.predictions`, `step.guided`). Default false. */
  readonly predictions?: boolean;
  /**
   * Called after each step and awaited before the next; modifying the step's latent affects the following steps.
   * Samplers with batches of one (`dpm_adaptive`) complete the steps of an image before those of the next.
   */
  readonly onStep?: (step: DenoiseStep) => void | Promise<void>;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
  /** Receives each warning as it occurs. */
  readonly onWarning?: OnWarning;
}

const KEYS: ReadonlySet<string> = new Set([
  ...[
    'positive',
    'negative',
    'class',
    'width',
    'height',
    'seed',
    'count',
    'rng',
    'latent',
    'strength',
    'noise',
    'taps',
    'predictions',
    'edit',
    'onStep',
  ],
  ...['signal', 'onProgress', 'onWarning'],
  ...Object.keys(samplingFields),
]);

/** Runs the denoising stage. @returns latents `[count, C, h, w]` for `pipeline.decode` */
export async function denoiseStage(loaded: LoadedModel, options: DenoiseOptions): Promise<Tensor> {
  check.knownKeys('options', options, KEYS);
  const { facts } = loaded;
  const { signal, onProgress, warnings } = checkControl(options);
  const sampling = resolveSamplingOptions(options, facts.defaults);
  const settings = resolveGuidance(sampling, options.cfg, facts.condition);
  const taps = checkTaps(options);
  const edit = checkEdit(options);
  const predictions = check.boolean('predictions', options.predictions ?? false);
  const count = check.integer('count', options.count ?? 1, 1, 64);
  const seed = check.seed('seed', options.seed ?? 0, Number.MAX_SAFE_INTEGER - count);
  const rng = check.oneOf('rng', options.rng ?? 'cpu', ['cpu', 'cuda']);
  const strength = check.number('strength', options.strength ?? 0.75, 0, 1);
  checkCallback('onStep', options.onStep);
  const given = copyInitialTensors(options, count, facts.latentChannels);
  const [channels, h, w] = latentShape(loaded, options, given);
  const isNegativeUsed = facts.guidance !== 'embedded';
  if (options.negative !== undefined && !isNegativeUsed) warnOfNegative(facts.name, warnings);
  const { negative: _, ...positive } = options;
  const conditioning = await conditioningOf(loaded, isNegativeUsed ? options : positive, signal);
  const model = await loaded.denoiser(signal);

  const { alignYourSteps } = facts;
  const scheduled = { ...model, alignYourSteps, shape: [1, channels, h, w] } as const;
  const partial =
    given.latent && partialSigmas(settings, scheduled, { steps: settings.steps, strength, mode: 'share' });
  const { noiseSchedule, sigmas } = partial ?? fullSigmas(settings, scheduled);
  const seeds = Array.from({ length: count }, (_, i) => seed + i);
  const range = partial ? { brownianRange: brownianRange(partial.full) } : {};
  const scale = initialNoiseScale(settings.sampler, sigmas[0]!, noiseSchedule);
  const pixels = { width: w * facts.downsampleFactor, height: h * facts.downsampleFactor };
  if (needsImage(loaded)) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      'This model is image-conditional, which the denoise stage does not support; use generate with init',
    );
  }
  warnIfLarge(warnings, pixels, facts.defaults);
  const extra = await maskedEverywhere(loaded, pixels.width, pixels.height, signal);

  const sessions = new SessionSlot();
  const common = {
    ...{ sigmas, noiseSchedule, sampler: settings.sampler, samplerOptions: settings.sampling },
    ...{ conditioning, guidance: guidanceOf(settings, facts), sessions },
    ...{ extra, stepCache: settings.stepCache, changes: settings.changes, taps, predictions, edit, signal },
  };
  /** Prepares images [from, to) of the call. */
  const batch = (from: number, to: number): DenoiseRun => {
    const noise = createNoise({ rng, seeds: seeds.slice(from, to), size: channels * h * w, ...range });
    const start = given.latent && rowsOf(given.latent, from, to - from).data;
    // Generated even if the caller passes noise, so that the sampler's noise is the same.
    const seeded = noise.next();
    const unit = given.noise ? rowsOf(given.noise, from, to - from).data : seeded;
    const first = start
      ? addNoise(noiseSchedule, start, unit, sigmas[0]!)
      : unit.map((value) => value * scale);
    return { ...common, latent: Tensor.from(first, [to - from, channels, h, w]), noise };
  };
  const size = Math.min(count, largestBatch(settings));
  const runs = Array.from({ length: Math.ceil(count / size) }, (_, i) =>
    batch(i * size, Math.min(count, (i + 1) * size)),
  );
  try {
    return await denoiseRuns(model, runs, {
      onStep: options.onStep,
      reporter: new ProgressReporter(onProgress),
      preview: (x0) => loaded.preview.render(x0.at(0), pixels.width, pixels.height),
    });
  } finally {
    sessions[Symbol.dispose]();
  }
}

/** Runs batches in sequence. @returns their concatenated latents */
async function denoiseRuns(
  model: DenoiseModel,
  runs: readonly DenoiseRun[],
  observers: {
    readonly onStep: DenoiseOptions['onStep'];
    readonly reporter: ProgressReporter;
    readonly preview: (x0: Tensor) => Promise<RgbImage>;
  },
): Promise<Tensor> {
  const latents: Tensor[] = [];
  let done = 0;
  for (const run of runs) {
    const steps = denoiseSteps(model, run);
    let taken = 0;
    try {
      let next = await steps.next();
      for (; !next.done; next = await steps.next()) {
        const { step, steps: all, x0 } = next.value;
        taken = step + 1;
        const planned = done + all * (runs.length - latents.length);
        observers.reporter.report('denoise', done + taken, planned, () => observers.preview(x0));
        await observers.onStep?.(next.value);
      }
      latents.push(next.value.latent);
    } finally {
      await endSteps(steps);
    }
    done += taken;
  }
  return Tensor.cat(latents);
}

async function conditioningOf(
  loaded: LoadedModel,
  options: DenoiseOptions,
  signal: AbortSignal | undefined,
): Promise<GuidanceSchedule> {
  const text = resolveText({});
  const { condition } = loaded.facts;
  if (condition.kind !== 'text') {
    for (const name of ['positive', 'negative'] as const)
      if (options[name] !== undefined)
        throw invalidOption(name, 'undefined (the model is not text-conditional)', options[name]);
    const label = options.class;
    const resolved = resolveCondition(label === undefined ? {} : { class: label }, condition);
    return loaded.encode({ ...resolved, text, evaluations: { steps: 1 } }, signal);
  }
  if (options.class !== undefined)
    throw invalidOption('class', 'undefined (the model is text-conditional)', options.class);
  return alignEncodings(loaded, options, text, { signal });
}

/** Returns the shape of the latent of one image. */
function latentShape(
  { facts }: LoadedModel,
  options: DenoiseOptions,
  given: InitialTensors,
): [channels: number, height: number, width: number] {
  const { downsampleFactor, defaults, latentChannels } = facts;
  const requested = checkSize(options, downsampleFactor);
  const size = checkSize(sizeWith(given, requested, downsampleFactor), downsampleFactor);
  const { width = defaults.width, height = defaults.height } = size;
  return [latentChannels, height / downsampleFactor, width / downsampleFactor];
}
