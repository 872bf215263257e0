/** What a generation can be asked for, and its defaults and bounds: everything is checked here, once. */

import { type LoraOption, type LoraSettings, resolveLoras } from '../adapters/lora-options.js';
import type { GenerationDefaults } from '../checkpoint/config/types.js';
import type { ConditionSource } from '../checkpoint/model-descriptor.js';
import type { Emphasis } from '../conditioning/emphasis.js';
import { emphases } from '../conditioning/emphasis.js';
import type { TextSettings } from '../conditioning/prompt-encoder.js';
import { invalidOption } from '../errors.js';
import { type ResizeMode, resizeModes } from '../image/fit.js';
import type { ImageSource } from '../image/read.js';
import { checkCallback, checkSignal } from '../known-keys.js';
import type { Rng } from '../sampling/generators/index.js';
import { type OnWarning, Warnings } from '../warnings.js';
import * as check from './check.js';
import {
  type ConditionOptions,
  type ConditionSettings,
  resolveCondition,
  resolveGuidance,
} from './condition-options.js';
import { warnOfSyntax } from './diffusion/prompt-warnings.js';
import { type HiresOptions, type HiresSettings, resolveHires } from './hires-options.js';
import { MAX_PIXELS, MAX_SIDE } from './limits.js';
import { type MaskOptions, type MaskSettings, maskKeys, resolveMask } from './mask-options.js';
import type { Progress } from './progress.js';
import {
  resolveSamplingOptions,
  type SamplingOptions,
  type SamplingSettings,
  samplingKeys,
} from './sampling-options.js';
import {
  resolveVariation,
  type VariationOptions,
  type VariationSettings,
  variationKeys,
} from './variation-options.js';

export interface GenerateOptions extends SamplingOptions, MaskOptions, ConditionOptions, VariationOptions {
  /**
   * Pixels, multiples of the autoencoder's factor (8); default the model's, or with `init` the image's, scaled down to the
   * model's pixel count.
   */
  readonly width?: number;
  readonly height?: number;
  /** Of the first picture, counting up for the next; integer of at least 0, below 2^53. -1, the default: random, 32 bits. */
  readonly seed?: number;
  /** Pictures, 1 to 1000; default 1. */
  readonly count?: number;
  /** Images computed together, 1 to 64; more need more memory. Default 4; `dpm_adaptive` computes one at a time. */
  readonly batch?: number;
  /** Which hidden state of the text encoder counts, from its end: 1 (default) is the last. SD2 and SDXL ignore it. */
  readonly clipSkip?: number;
  /** How weights like `(red:1.3)` act on the encoded text; default `original`. */
  readonly emphasis?: Emphasis;
  /** Whose random numbers: PyTorch's CPU generator (default) or its CUDA generator (A1111's NV). */
  readonly rng?: Rng;
  /** The picture to begin from (image to image). */
  readonly init?: ImageSource;
  /** How far to go from `init`: 0 keeps it, 1 begins from noise; default 0.75. */
  readonly strength?: number;
  /** Latent of `init`: the mean of the encoder's distribution (default) or a sample of it. */
  readonly posterior?: Posterior;
  /** How `init` becomes the size asked for; default `resize`. */
  readonly resizeMode?: ResizeMode;
  /** Multiplies the noise laid on `init`, 0 to 1.5; default 1. */
  readonly initialNoiseMultiplier?: number;
  /** A second pass at a larger size. */
  readonly hires?: HiresOptions;
  /** LoRAs to apply, at most 20; several add up. They change nothing of the model that other calls see. */
  readonly loras?: readonly LoraOption[];
  /** Names of the U-Net's nodes to read at each step (see `pipeline.nodes`). */
  readonly taps?: readonly string[];
  readonly signal?: AbortSignal;
  /**
   * Stops sampling at once and decodes what the model saw in the images at its last evaluation; further batches are left out. Where the
   * CPU decodes, those images of the batch that take longer than 0.4 s are given as their previews, but for the first.
   */
  readonly finish?: AbortSignal;
  /** Stops decoding too: images that are not decoded yet are given as their previews. For a `finish` that takes too long. */
  readonly hurry?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** Called with each warning as it occurs; the result lists them all. */
  readonly onWarning?: OnWarning;
}

export type Posterior = 'mean' | 'sample';

/** The same, complete and checked. */
export interface Settings extends ConditionSettings {
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly seed: number;
  readonly count: number;
  readonly batch: number;
  readonly text: TextSettings;
  readonly rng: Rng;
  readonly sampling: SamplingSettings;
  readonly variation: VariationSettings;
  readonly init: InitSettings | undefined;
  readonly mask: MaskSettings | undefined;
  readonly hires: HiresSettings | undefined;
  readonly loras: readonly LoraSettings[];
  readonly taps: readonly string[];
  readonly signal: AbortSignal | undefined;
  readonly finish: AbortSignal | undefined;
  readonly hurry: AbortSignal | undefined;
  readonly onProgress: ((progress: Progress) => void) | undefined;
  /** Collects what the caller should know about this call. */
  readonly warnings: Warnings;
}

export interface InitSettings {
  readonly source: ImageSource;
  readonly strength: number;
  readonly posterior: Posterior;
  readonly resizeMode: ResizeMode;
  readonly noiseMultiplier: number;
}

const KEYS: ReadonlySet<string> = new Set([
  ...['prompt', 'negative', 'class', 'width', 'height', 'seed', 'count', 'batch', 'clipSkip'],
  ...['emphasis', 'rng', 'init', 'strength', 'posterior', 'resizeMode', 'initialNoiseMultiplier', 'hires'],
  ...['loras', 'taps', 'signal', 'finish', 'hurry', 'onProgress', 'onWarning'],
  ...variationKeys,
  ...samplingKeys,
  ...maskKeys,
]);

/**
 * @param defaults of the model
 * @param factor pixels a latent side stands for
 * @param condition what the model is told; undefined where it is not known yet
 * @throws INVALID_OPTION naming the option
 */
export function resolveOptions(
  options: GenerateOptions,
  defaults: GenerationDefaults,
  factor: number,
  condition?: ConditionSource,
): Settings {
  check.knownKeys('options', options, KEYS);
  const taps = checkTaps(options);
  const { width, height } = checkSize(options, factor);
  const count = check.integer('count', options.count ?? 1, 1, 1000);
  const sampling = resolveGuidance(resolveSamplingOptions(options, defaults), options.cfg, condition);
  const hires = resolveHires(options, factor, sampling);
  const seed = check.seed('seed', options.seed, Number.MAX_SAFE_INTEGER - count);
  const settings: Settings = {
    ...resolveCondition(options, condition),
    width,
    height,
    seed,
    count,
    batch: Math.min(count, check.integer('batch', options.batch ?? 4, 1, 64), maxBatch(sampling, hires)),
    text: resolveText(options),
    rng: check.oneOf('rng', options.rng ?? 'cpu', ['cpu', 'cuda']),
    sampling,
    variation: resolveVariation(options, count),
    init: resolveInit(options),
    mask: resolveMask(options),
    hires,
    loras: resolveLoras(options.loras),
    taps,
    finish: checkSignal('finish', options.finish),
    hurry: checkSignal('hurry', options.hurry),
    ...checkControl(options),
  };
  warnOfSyntax(settings.warnings, {
    ...{ prompt: settings.prompt, negative: settings.negative },
    ...{ 'hires.prompt': hires?.prompt, 'hires.negative': hires?.negative },
  });
  return settings;
}

/** What the samplers of both passes allow: the result of a seed does not depend on the images beside it. */
function maxBatch(sampling: SamplingSettings, hires: HiresSettings | undefined): number {
  return Math.min(sampling.sampler.maxBatch, hires?.sampling.sampler.maxBatch ?? Number.POSITIVE_INFINITY);
}

export function resolveText(options: Pick<GenerateOptions, 'clipSkip' | 'emphasis'>): TextSettings {
  return {
    clipSkip: check.integer('clipSkip', options.clipSkip ?? 1, 1, 100),
    emphasis: check.oneOf('emphasis', options.emphasis ?? 'original', emphases),
  };
}

export function checkSize(
  size: { readonly width?: number | undefined; readonly height?: number | undefined },
  factor: number,
): { width: number | undefined; height: number | undefined } {
  const side = (name: 'width' | 'height'): number | undefined =>
    size[name] === undefined ? undefined : check.multiple(name, size[name], factor, MAX_SIDE);
  const [width, height] = [side('width'), side('height')];
  if (width !== undefined && height !== undefined && width * height > MAX_PIXELS) {
    throw invalidOption('width x height', `at most ${MAX_PIXELS} pixels`, width * height);
  }
  return { width, height };
}

function resolveInit(options: GenerateOptions): InitSettings | undefined {
  const strength = check.number('strength', options.strength ?? 0.75, 0, 1);
  const posterior = check.oneOf('posterior', options.posterior ?? 'mean', ['mean', 'sample']);
  const resizeMode = check.oneOf('resizeMode', options.resizeMode ?? 'resize', resizeModes);
  const noiseMultiplier = check.number('initialNoiseMultiplier', options.initialNoiseMultiplier ?? 1, 0, 1.5);
  if (options.init === undefined) return undefined;
  return { source: options.init, strength, posterior, resizeMode, noiseMultiplier };
}

/** @throws INVALID_OPTION; also for taps beside step caching, which leaves out most of the nodes at most of the steps */
export function checkTaps({
  taps = [],
  deepCache,
}: {
  readonly taps?: unknown;
  readonly deepCache?: unknown;
}): readonly string[] {
  if (!Array.isArray(taps) || !taps.every((tap) => typeof tap === 'string'))
    throw invalidOption('taps', 'an array of names', taps);
  if (taps.length > 0 && deepCache !== undefined)
    throw invalidOption('deepCache', 'none beside taps (they need every step to be whole)', deepCache);
  return [...taps];
}

export function checkControl(options: {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: GenerateOptions['onProgress'] | undefined;
  readonly onWarning?: OnWarning | undefined;
}): Pick<Settings, 'signal' | 'onProgress' | 'warnings'> {
  const { onProgress, onWarning } = options;
  const signal = checkSignal('signal', options.signal);
  checkCallback('onProgress', onProgress);
  checkCallback('onWarning', onWarning);
  return { signal, onProgress, warnings: new Warnings(onWarning) };
}

export type { HiresOptions, MaskOptions, SamplingOptions };
