/** The middle stage by itself: encodings in, a latent out. */
import { invalidOption, SafelightError } from '../../errors.js';
import type { DenoiseModel } from '../../families/shared/denoise-model.js';
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import { checkCallback } from '../../known-keys.js';
import * as check from '../../options/check.js';
import { samplingFields } from '../../options/declarations/sampling.js';
import { resolveCondition, resolveGuidance } from '../../options/settings/condition.js';
import { type ApiSamplingOptions, resolveSamplingOptions } from '../../options/settings/sampling.js';
import type { Rng } from '../../sampling/generators/index.js';
import type { GuidancePair } from '../../sampling/guidance.js';
import { createNoise } from '../../sampling/noise.js';
import { addNoise } from '../../sampling/noise-schedule.js';
import { initialNoiseScale } from '../../sampling/samplers/index.js';
import type { RgbImage } from '../../tensor/render.js';
import { Tensor } from '../../tensor/tensor.js';
import type { OnWarning } from '../../warnings.js';
import { copyGiven, type GivenTensors, rowsOf, sizeWith } from '../given-tensors.js';
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
import { encodeGiven } from './given-encodings.js';
import { warnIfLarge } from './image-size.js';
import { needsImage } from './ldm-inpaint.js';
import { maskedEverywhere } from './text-to-image.js';

export interface DenoiseOptions extends ApiSamplingOptions {
  /** Of `pipeline.encodeText`; of models that read text. */
  readonly positive?: GivenEncoding;
  /** Default: the empty prompt. */
  readonly negative?: GivenEncoding;
  /** Of models that were trained on classes. */
  readonly class?: number;
  /** Pixels; default the model's, or the latent's with `latent`. */
  readonly width?: number;
  readonly height?: number;
  /** Seed of the first picture, default 0 (-1: random), and how many, default 1. */
  readonly seed?: number;
  readonly count?: number;
  readonly rng?: Rng;
  /** A clean latent `[1 or count, C, h, w]` to begin from, as `pipeline.encode` gives it. */
  readonly latent?: Tensor;
  /** How far to go from it; default 0.75. */
  readonly strength?: number;
  /** The noise to begin from in the place of the seed's: `[1 or count, C, h, w]`, of unit variance. */
  readonly noise?: Tensor;
  readonly taps?: readonly string[];
  /** As in `generate`. */
  readonly edit?: Edits;
  /** Gives each step the network's predictions (`step.predictions`, `step.guided`); default false. */
  readonly predictions?: boolean;
  /**
   * Called after each step; what is written into its latent counts. The next step waits for it. Samplers that take one image at a time
   * (`dpm_adaptive`) finish the steps of one image before those of the next.
   */
  readonly onStep?: (step: DenoiseStep) => void | Promise<void>;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
  /** Called with each warning as it occurs. */
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

/** @returns `[count, C, h, w]`, as `pipeline.decode` takes it */
export async function denoiseStage(loaded: LoadedModel, options: DenoiseOptions): Promise<Tensor> {
  check.knownKeys('options', options, KEYS);
  const { facts } = loaded;
  const { signal, onProgress, warnings } = checkControl(options);
  const asked = resolveSamplingOptions(options, facts.defaults);
  const settings = resolveGuidance(asked, options.cfg, facts.condition);
  const taps = checkTaps(options);
  const edit = checkEdit(options);
  const predictions = check.boolean('predictions', options.predictions ?? false);
  const count = check.integer('count', options.count ?? 1, 1, 64);
  const seed = check.seed('seed', options.seed ?? 0, Number.MAX_SAFE_INTEGER - count);
  const rng = check.oneOf('rng', options.rng ?? 'cpu', ['cpu', 'cuda']);
  const strength = check.number('strength', options.strength ?? 0.75, 0, 1);
  checkCallback('onStep', options.onStep);
  const given = copyGiven(options, count, facts.latentChannels);
  const [channels, h, w] = latentShape(loaded, options, given);
  const conditioning = await conditioningOf(loaded, options, signal);
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
      'This model draws beside a picture, which this stage does not take; use generate with init',
    );
  }
  warnIfLarge(warnings, pixels, facts.defaults);
  const extra = await maskedEverywhere(loaded, pixels.width, pixels.height, signal);

  const sessions = new SessionSlot();
  const common = {
    ...{ sigmas, noiseSchedule, sampler: settings.sampler, samplerOptions: settings.sampling },
    ...{ conditioning, guidance: guidanceOf(settings), sessions },
    ...{ extra, deepCache: settings.deepCache, taps, predictions, edit, signal },
  };
  /** Images [from, to) of the call. */
  const batch = (from: number, to: number): DenoiseRun => {
    const noise = createNoise({ rng, seeds: seeds.slice(from, to), size: channels * h * w, ...range });
    const start = given.latent && rowsOf(given.latent, from, to - from).data;
    // Drawn in any case: samplers draw on from there.
    const drawn = noise.next();
    const unit = given.noise ? rowsOf(given.noise, from, to - from).data : drawn;
    const first = start
      ? addNoise(noiseSchedule, start, unit, sigmas[0]!)
      : unit.map((value) => value * scale);
    return { ...common, latent: Tensor.from(first, [to - from, channels, h, w]), noise };
  };
  const size = Math.min(count, settings.sampler.maxBatch);
  const runs = Array.from({ length: Math.ceil(count / size) }, (_, i) =>
    batch(i * size, Math.min(count, (i + 1) * size)),
  );
  try {
    return await denoiseRuns(model, runs, {
      onStep: options.onStep,
      reporter: new ProgressReporter(onProgress),
      draw: (x0) => loaded.preview.render(x0.at(0), pixels.width, pixels.height),
    });
  } finally {
    sessions[Symbol.dispose]();
  }
}

/** Runs batches one after the other. @returns their latents in one tensor */
async function denoiseRuns(
  model: DenoiseModel,
  runs: readonly DenoiseRun[],
  to: {
    readonly onStep: DenoiseOptions['onStep'];
    readonly reporter: ProgressReporter;
    readonly draw: (x0: Tensor) => Promise<RgbImage>;
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
        to.reporter.report('denoise', done + taken, planned, () => to.draw(x0));
        await to.onStep?.(next.value);
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
): Promise<GuidancePair> {
  const text = resolveText({});
  const { condition } = loaded.facts;
  if (condition.kind !== 'text') {
    for (const name of ['positive', 'negative'] as const)
      if (options[name] !== undefined)
        throw invalidOption(name, 'nothing (this model reads no text)', options[name]);
    const label = options.class;
    const told = resolveCondition(label === undefined ? {} : { class: label }, condition);
    return loaded.encode({ ...told, text }, signal);
  }
  if (options.class !== undefined)
    throw invalidOption('class', 'nothing (this model reads a prompt)', options.class);
  return encodeGiven(loaded, options, text, { signal });
}

/** Returns the shape of one image's latent. */
function latentShape(
  { facts }: LoadedModel,
  options: DenoiseOptions,
  given: GivenTensors,
): [channels: number, height: number, width: number] {
  const { downsampleFactor, defaults, latentChannels } = facts;
  const { width: wide, height: high } = checkSize(options, downsampleFactor);
  const size = checkSize(sizeWith(given, { width: wide, height: high }, downsampleFactor), downsampleFactor);
  const { width = defaults.width, height = defaults.height } = size;
  return [latentChannels, height / downsampleFactor, width / downsampleFactor];
}
