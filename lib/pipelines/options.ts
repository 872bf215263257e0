/** Options of a generation (declared options and options of the call) and their resolution to settings. */
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
import type { Region } from '../options/declarations/prompt.js';
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
  largestBatch,
  nameOf,
  type SamplingSettings,
  samplingSettings,
} from '../options/settings/sampling.js';
import { validate } from '../options/validate.js';
import type { Rng } from '../sampling/generators/index.js';
import { type OnWarning, Warnings } from '../warnings.js';
import type { Edits } from './diffusion/denoising/edited-network.js';
import { checkTogether, unwrittenOf } from './exclusive-options.js';
import { copyInitialTensors, type InitialTensors, sizeWith } from './initial-tensors.js';
import type { Progress } from './progress.js';
import type { PromptFiles } from './prompt-files.js';

/** Options for observing and ending a call. */
export interface CallOptions {
  /** Names of U-Net nodes (see `pipeline.nodes`) whose values each step returns. */
  readonly taps?: readonly string[];
  /**
   * Functions by name of U-Net node (see `pipeline.nodes`). At each evaluation, a function receives the value of its
   * node, and the evaluation continues with the tensor that it returns or has modified. Each edited node costs one
   * additional evaluation. Cannot be combined with step caching.
   */
  readonly edit?: Edits;
  /** Adds the network's predictions to each step (`step.predictions`, `step.guided`). Default false. */
  readonly predictions?: boolean;
  /**
   * Aborts the call, which rejects with ABORTED. Aborted with the reason `'finish'` (`controller.abort('finish')`), it
   * has the effect of `finish` in `generate` and `stream`.
   */
  readonly signal?: AbortSignal;
  /**
   * Stops sampling at once and decodes the prediction of x0 of the last evaluation; further batches are skipped. If
   * the CPU decodes, images of the batch after the first that are not decoded within 0.4 s are returned as previews.
   */
  readonly finish?: AbortSignal;
  /** Stops decoding after `finish`: images that are not decoded yet are returned as previews. */
  readonly hurry?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** Receives each warning as it occurs; the result lists all of them. */
  readonly onWarning?: OnWarning;
}

/** Options of `generate` and `stream`. */
export interface GenerateOptions
  extends Omit<GenerationOptions, 'prompt' | 'negative' | 'sampler'>,
    Pick<ApiSamplingOptions, 'sampler'>,
    CallOptions {
  /**
   * Prompt in A1111's syntax, at most 120,000 characters; for text-conditional models. For a list of up to 1000
   * prompts, `count` images of each are generated, starting at the same seed.
   */
  readonly prompt?: string | readonly string[];
  /**
   * Negative prompt; default empty. A list has one entry per prompt; with a single prompt, that prompt is used for
   * each entry.
   */
  readonly negative?: string | readonly string[];
}

/** Validated and resolved options. */
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
  /** Copies of the caller's tensors. */
  readonly given: InitialTensors;
  readonly init: InitSettings | undefined;
  /** Strength and noise factor for an initial latent. */
  readonly from: Pick<InitSettings, 'strength' | 'noiseMultiplier'>;
  /** Encoded prompts instead of `prompt` and `negative`. */
  readonly embeddings: GivenEmbeddings | undefined;
  readonly mask: MaskSettings | undefined;
  readonly hires: HiresSettings | undefined;
  readonly loras: readonly LoraSettings[];
  readonly missingAdapters: 'error' | 'warn';
  readonly regions: readonly Region[];
  /** Names of styles, which are not applied yet. */
  readonly styles: readonly string[];
  /** True if variants and wildcards in the prompts are not resolved yet. */
  readonly dynamicPrompts: boolean;
  readonly files: PromptFiles;
  /** Options that determine the images, as stored in image files. */
  readonly options: GenerationOptions;
  /** Defaults of a few-step model or LoRA that determined options which the caller did not give. */
  readonly fewStepDefaults?: GenerationDefaults | undefined;
  /** Names of options that determine the images but cannot be stored in image files. */
  readonly unwritten: readonly string[];
  readonly predictions: boolean;
  readonly edit: Edits | undefined;
  readonly taps: readonly string[];
  readonly signal: AbortSignal | undefined;
  readonly finish: AbortSignal | undefined;
  readonly hurry: AbortSignal | undefined;
  readonly onProgress: ((progress: Progress) => void) | undefined;
  /** Collects the warnings of this call. */
  readonly warnings: Warnings;
}

export interface VariationSettings {
  readonly subseed: number;
  readonly strength: number;
  /** `seedResizeFrom`, in pixels. */
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
 * Validates and resolves the options of a call.
 * @param defaults of the model
 * @param downsampleFactor image pixels per latent element along each side
 * @param condition conditioning of the model; undefined if not yet known
 * @param files folders that prompts refer to
 * @throws INVALID_OPTION naming the option
 */
export function resolveOptions(
  options: GenerateOptions,
  defaults: GenerationDefaults,
  downsampleFactor: number,
  condition?: ConditionSource,
  files: PromptFiles = {},
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
  const given = copyInitialTensors(checked, count);
  const { width, height } = checkSize(sizeWith(given, checked, downsampleFactor), downsampleFactor);
  if (checked.embeddings && condition && condition.kind !== 'text')
    throw invalidOption('embeddings', 'undefined (the model is not text-conditional)', checked.embeddings);
  const conditioning = resolveCondition(
    checked.embeddings ? { prompt: '' } : conditionOf(options),
    condition,
  );
  const sampling = resolveGuidance(samplingSettings(checked, defaults, options), options.cfg, condition);
  const hires = hiresSettings(checked.hires, checked.init, sampling);
  const { seed, clipSkip, emphasis, rng } = checked;
  return {
    ...conditioning,
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
    missingAdapters: checked.missingAdapters,
    regions: checked.regions ?? [],
    styles: checked.styles ?? [],
    dynamicPrompts: checked.dynamicPrompts,
    files,
    options: imageOptions(checked, { condition: conditioning, sampling, hires }),
    unwritten: unwrittenOf(options),
    edit: checkEdit(options),
    predictions: check.boolean('predictions', options.predictions ?? false),
    taps,
    finish: checkSignal('finish', options.finish),
    hurry: checkSignal('hurry', options.hurry),
    ...checkControl(options),
  };
}

/** Returns the conditioning options; lists of prompts are rejected by their validation. */
function conditionOf({ prompt, negative, class: label }: GenerateOptions): ConditionOptions {
  return defined({ prompt, negative, class: label }) as ConditionOptions;
}

/** Returns the largest batch of both passes' samplers; an image must not depend on the others in its batch. */
function maxBatch(sampling: SamplingSettings, hires: HiresSettings | undefined): number {
  return Math.min(largestBatch(sampling), hires ? largestBatch(hires.sampling) : Number.POSITIVE_INFINITY);
}

/** Validates the options of text encoding. @throws INVALID_OPTION */
export function resolveText(options: OptionsOf<typeof encodingFields>): TextSettings {
  return validate(encodingFields, { clipSkip: options.clipSkip, emphasis: options.emphasis });
}

interface Sides {
  readonly width?: number | undefined;
  readonly height?: number | undefined;
}

/**
 * Checks that sides are multiples of the downsampling factor, at most 2^14, and at most 2^26 pixels together.
 * @throws INVALID_OPTION
 */
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

interface TracedOptions {
  readonly stepCache?: unknown;
  readonly deepCache?: unknown;
}

/** @throws INVALID_OPTION for step caching, which skips nodes at most steps */
function checkNoStepCache({ stepCache, deepCache }: TracedOptions, other: string): void {
  const isOff = stepCache === undefined || stepCache === 'none';
  if (isOff && deepCache === undefined) return;
  throw invalidOption(
    isOff ? 'deepCache' : 'stepCache',
    `undefined together with ${other} (step caching skips nodes)`,
    isOff ? deepCache : stepCache,
  );
}

/** @throws INVALID_OPTION; also for taps together with step caching, which skips nodes at most steps */
export function checkTaps({
  taps = [],
  ...options
}: TracedOptions & { readonly taps?: unknown }): readonly string[] {
  if (!Array.isArray(taps) || !taps.every((tap) => typeof tap === 'string'))
    throw invalidOption('taps', 'an array of node names', taps);
  if (taps.length > 0) checkNoStepCache(options, 'taps');
  return [...taps];
}

/** @throws INVALID_OPTION; also for edits together with step caching */
export function checkEdit({
  edit,
  ...options
}: TracedOptions & { readonly edit?: unknown }): Edits | undefined {
  if (edit === undefined) return undefined;
  const isEdits = (value: unknown): value is Edits =>
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((item) => typeof item === 'function');
  if (!isEdits(edit)) throw invalidOption('edit', 'an object of functions keyed by node name', edit);
  checkNoStepCache(options, 'edit');
  return Object.keys(edit).length === 0 ? undefined : { ...edit };
}

/**
 * Checks the options for observing and aborting a call, and creates its collection of warnings.
 * @throws INVALID_OPTION
 */
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
