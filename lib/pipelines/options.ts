/** The options of a generation: those of the schema, those of the call, and how both become settings. */
import { type LoraSettings, resolveLoras } from '../adapters/lora-options.js';
import type { GenerationDefaults } from '../checkpoint/config/types.js';
import type { ConditionSource } from '../checkpoint/model-descriptor.js';
import type { Emphasis } from '../conditioning/emphasis.js';
import { defined } from '../defined.js';
import { invalidOption } from '../errors.js';
import type { ResizeMode } from '../image/resize-mode.js';
import type { ImageSource } from '../image/source.js';
import { checkCallback, checkSignal } from '../known-keys.js';
import * as check from '../options/check.js';
import { type GenerationOptions, generationFields } from '../options/declarations/generation.js';
import type { Posterior, sourceFields } from '../options/declarations/source.js';
import { type ConditionOptions, encodingFields, type GivenEmbeddings } from '../options/declarations/text.js';
import type { CheckedOf, OptionsOf } from '../options/field.js';
import { apiLimits } from '../options/limits.js';
import { type ConditionSettings, resolveCondition, resolveGuidance } from '../options/settings/condition.js';
import { type HiresSettings, hiresSettings } from '../options/settings/hires.js';
import { imageOptions } from '../options/settings/image-options.js';
import { type MaskSettings, maskSettings } from '../options/settings/mask.js';
import {
  type ApiSamplingOptions,
  nameOf,
  type SamplingSettings,
  samplingSettings,
} from '../options/settings/sampling.js';
import { validate } from '../options/validate.js';
import type { Rng } from '../sampling/generators/index.js';
import { type OnWarning, Warnings } from '../warnings.js';
import type { Edits } from './diffusion/denoising/edited-network.js';
import { warnOfSyntax } from './diffusion/prompt-warnings.js';
import { copyGiven, type GivenTensors, sizeWith } from './given-tensors.js';
import { checkTogether, unwrittenOf } from './options-together.js';
import type { Progress } from './progress.js';

/** How a call is watched and ended. */
export interface CallOptions {
  /** Names of the U-Net's nodes to read at each step (see `pipeline.nodes`). */
  readonly taps?: readonly string[];
  /**
   * Functions by names of the U-Net's nodes (see `pipeline.nodes`): at each evaluation, a function is given what its node computes, and the
   * evaluation goes on with what it returns, or wrote into the tensor. Each node edited costs one more evaluation. Not beside `deepCache`.
   */
  readonly edit?: Edits;
  /** Gives each step the network's predictions (`step.predictions`, `step.guided`); default false. */
  readonly predictions?: boolean;
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

/** Options of a call. Those that are not data (`sampler` as a function), or lists of what is declared, are widened here. */
export interface GenerateOptions
  extends Omit<GenerationOptions, 'prompt' | 'negative' | 'sampler'>,
    Pick<ApiSamplingOptions, 'sampler'>,
    CallOptions {
  /**
   * Describes the image, in A1111's syntax, in at most 120,000 characters; for models that read text. A list of up to 1000 prompts gives `count`
   * images of each, one prompt after the other, each from the same seed on.
   */
  readonly prompt?: string | readonly string[];
  /** Describes what to keep out of the image; default empty. A list has one for each prompt, or repeats one prompt. */
  readonly negative?: string | readonly string[];
}

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
  /** Copies of what the caller gave. */
  readonly given: GivenTensors;
  readonly init: InitSettings | undefined;
  /** Strength and noise for a latent to begin from. */
  readonly from: Pick<InitSettings, 'strength' | 'noiseMultiplier'>;
  /** In the place of prompts. */
  readonly embeddings: GivenEmbeddings | undefined;
  readonly mask: MaskSettings | undefined;
  readonly hires: HiresSettings | undefined;
  readonly loras: readonly LoraSettings[];
  /** Those that determine the images, as they are written into them. */
  readonly options: GenerationOptions;
  /** Names of options that determine the images and cannot be written into them. */
  readonly unwritten: readonly string[];
  readonly predictions: boolean;
  readonly edit: Edits | undefined;
  readonly taps: readonly string[];
  readonly signal: AbortSignal | undefined;
  readonly finish: AbortSignal | undefined;
  readonly hurry: AbortSignal | undefined;
  readonly onProgress: ((progress: Progress) => void) | undefined;
  /** Collects what the caller should know about this call. */
  readonly warnings: Warnings;
}

export interface VariationSettings {
  readonly subseed: number;
  readonly strength: number;
  readonly from: { readonly width: number; readonly height: number } | undefined;
  readonly seedDelta: number;
}

export interface InitSettings {
  readonly source: ImageSource;
  readonly strength: number;
  readonly posterior: Posterior;
  readonly resizeMode: ResizeMode;
  readonly noiseMultiplier: number;
}

export interface TextSettings {
  readonly clipSkip: number;
  readonly emphasis: Emphasis;
}

const CALL_KEYS = ['taps', 'predictions', 'edit', 'signal', 'finish', 'hurry', 'onProgress', 'onWarning'];
const KEYS: ReadonlySet<string> = new Set([...Object.keys(generationFields), ...CALL_KEYS]);

/**
 * @param defaults of the model
 * @param factor pixels a latent side stands for
 * @param condition what the model is told; undefined where it is not known yet
 * @throws INVALID_OPTION naming the option
 */
export function resolveOptions(
  options: GenerateOptions,
  defaults: GenerationDefaults,
  downsampleFactor: number,
  condition?: ConditionSource,
): Settings {
  check.knownKeys('options', options, KEYS);
  const taps = checkTaps(options);
  const count = check.integer('count', options.count ?? 1, 1, apiLimits.maxCount);
  const checked = validate(
    generationFields,
    { ...options, sampler: nameOf(options.sampler) },
    { grid: downsampleFactor, defaults: { ...defaults }, maxSeed: Number.MAX_SAFE_INTEGER - count },
  );
  checkTogether(checked);
  const given = copyGiven(checked, count);
  const { width, height } = checkSize(sizeWith(given, checked, downsampleFactor), downsampleFactor);
  if (checked.embeddings && condition && condition.kind !== 'text')
    throw invalidOption('embeddings', 'nothing (this model reads no text)', checked.embeddings);
  const told = resolveCondition(checked.embeddings ? { prompt: '' } : conditionOf(options), condition);
  const sampling = resolveGuidance(samplingSettings(checked, defaults, options), options.cfg, condition);
  const hires = hiresSettings(checked.hires, checked.init, sampling);
  const { seed, clipSkip, emphasis, rng } = checked;
  const settings: Settings = {
    ...told,
    ...{ width, height, seed, count },
    batch: Math.min(count, checked.batch, maxBatch(sampling, hires)),
    text: { clipSkip, emphasis },
    ...{ rng, sampling },
    variation: {
      subseed: checked.subseed,
      strength: checked.subseedStrength,
      from: checked.seedResizeFrom,
      seedDelta: checked.etaNoiseSeedDelta,
    },
    given,
    init: initSettings(checked),
    from: { strength: checked.strength, noiseMultiplier: checked.initialNoiseMultiplier },
    embeddings: checked.embeddings,
    mask: maskSettings(checked, checked.init),
    hires,
    loras: resolveLoras(checked.loras),
    options: imageOptions(checked, { condition: told, sampling, hires }),
    unwritten: unwrittenOf(options),
    edit: checkEdit(options),
    predictions: check.boolean('predictions', options.predictions ?? false),
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

/** As the check of prompts takes them, which refuses a list. */
function conditionOf({ prompt, negative, class: label }: GenerateOptions): ConditionOptions {
  return defined({ prompt, negative, class: label }) as ConditionOptions;
}

/** What the samplers of both passes allow: the result of a seed does not depend on the images beside it. */
function maxBatch(sampling: SamplingSettings, hires: HiresSettings | undefined): number {
  return Math.min(sampling.sampler.maxBatch, hires?.sampling.sampler.maxBatch ?? Number.POSITIVE_INFINITY);
}

export function resolveText(options: OptionsOf<typeof encodingFields>): TextSettings {
  return validate(encodingFields, { clipSkip: options.clipSkip, emphasis: options.emphasis });
}

interface Sides {
  readonly width?: number | undefined;
  readonly height?: number | undefined;
}

export function checkSize(
  size: Sides,
  downsampleFactor: number,
): { width: number | undefined; height: number | undefined } {
  const side = (name: 'width' | 'height'): number | undefined =>
    size[name] === undefined
      ? undefined
      : check.multiple(name, size[name], downsampleFactor, apiLimits.maxSide);
  const sides = { width: side('width'), height: side('height') };
  checkPixels(sides);
  return sides;
}

function checkPixels({ width, height }: Sides): void {
  if (width !== undefined && height !== undefined && width * height > apiLimits.maxPixels)
    throw invalidOption('width x height', `at most ${apiLimits.maxPixels} pixels`, width * height);
}

function initSettings(checked: CheckedOf<typeof sourceFields>): InitSettings | undefined {
  const { init, strength, posterior, resizeMode, initialNoiseMultiplier: noiseMultiplier } = checked;
  return init === undefined ? undefined : { source: init, strength, posterior, resizeMode, noiseMultiplier };
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

/** @throws INVALID_OPTION, as for taps */
export function checkEdit({
  edit,
  deepCache,
}: {
  readonly edit?: unknown;
  readonly deepCache?: unknown;
}): Edits | undefined {
  if (edit === undefined) return undefined;
  const isEdits = (value: unknown): value is Edits =>
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((one) => typeof one === 'function');
  if (!isEdits(edit)) throw invalidOption('edit', 'functions by the names of nodes', edit);
  if (deepCache !== undefined)
    throw invalidOption('deepCache', 'none beside edit (it needs every step to be whole)', deepCache);
  return Object.keys(edit).length === 0 ? undefined : { ...edit };
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
