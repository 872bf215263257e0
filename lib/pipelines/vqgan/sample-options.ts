/** Options of sampling code indices. */

import { defined } from '../../defined.js';
import { invalidOption, SafelightError } from '../../errors.js';
import type { VqganModelSource } from '../../families/shared/vqgan/open-vqgan.js';
import * as check from '../../options/check.js';
import { choiceFields, sampleFields } from '../../options/declarations/autoregressive.js';
import type { OptionsOf } from '../../options/field.js';
import { validate } from '../../options/validate.js';
import { windowSide } from '../../sampling/autoregressive/window.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { OnWarning, Warnings } from '../../warnings.js';
import { type Size, warnIfLarge } from '../diffusion/image-size.js';
import { checkControl, checkSize } from '../options.js';
import type { OnProgress } from '../progress.js';
import { type CodeGrid, checkGrid } from './grid.js';
import type { VqganModel } from './vqgan-model.js';

/** Options of `VqganPipeline.sketch`, and those of `sample` except `class`. */
export interface DrawOptions extends Partial<Undefinable<OptionsOf<typeof sampleFields>>> {
  /**
   * Initial codes `[H/f][W/f]`, which are overwritten, instead of random ones. They determine the size of the image;
   * each code is sampled with a sliding window.
   */
  readonly start?: CodeGrid | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
  /** Receives each warning as it occurs; the result lists all of them. */
  readonly onWarning?: OnWarning | undefined;
}

type Undefinable<T> = { [K in keyof T]: T[K] | undefined };

export interface SampleOptions extends DrawOptions {
  /** Class index from 0; required for class-conditional models and rejected for others. */
  readonly class?: number | undefined;
}

export interface SampleSettings {
  readonly choice: { readonly topK: number; readonly topP: number; readonly temperature: number };
  readonly seed: number;
  /** Size of the image in codes. */
  readonly width: number;
  readonly height: number;
  /** Side of the sliding window in codes. */
  readonly side: number;
  readonly start: Tensor<Int32Array> | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: OnProgress | undefined;
  readonly warnings: Warnings;
}

const DRAW_KEYS = [...Object.keys(sampleFields), 'start', 'signal', 'onProgress', 'onWarning'];

/**
 * Validates and resolves options.
 * @throws INVALID_OPTION naming the option, UNSUPPORTED_MODEL for a model without a transformer
 */
export function resolveSampleOptions(model: VqganModel, options: DrawOptions): SampleSettings {
  model.checkTransformer();
  const { downsampleFactor, defaults } = model;
  const { topK, topP, temperature, seed } = validate(
    choiceFields,
    { ...options },
    { defaults: { ...defaults } },
  );
  const side = sideOf(model);
  const start = options.start ? checkGrid(options.start, model.vocabulary ?? 0, downsampleFactor) : undefined;
  const [, rows = side, columns = side] = start?.shape ?? [];
  const requested = defined(checkSize(options, downsampleFactor));
  const { width = columns * downsampleFactor, height = rows * downsampleFactor } = requested;
  if (start && (width !== columns * downsampleFactor || height !== rows * downsampleFactor))
    throw invalidOption(
      'start',
      `${height / downsampleFactor} rows of ${width / downsampleFactor} codes`,
      `${rows} of ${columns}`,
    );
  const control = checkControl(options);
  warnIfLargeForVqgan(control.warnings, model, { width, height });
  return {
    choice: { topK, topP, temperature },
    seed,
    width: width / downsampleFactor,
    height: height / downsampleFactor,
    side,
    start,
    ...control,
  };
}

/** Checks the names of options of `sample`. @throws INVALID_OPTION */
export function checkSampleOptions(options: SampleOptions): void {
  check.knownKeys('options', options, new Set([...DRAW_KEYS, 'class']));
}

/** Checks the class index. @returns undefined for a model that is not class-conditional. @throws INVALID_OPTION */
export function resolveClass(
  condition: VqganModelSource['condition'],
  index: number | undefined,
): number | undefined {
  if (condition.kind === 'class') return check.integer('class', index, 0, condition.classes - 1);
  if (index === undefined) return undefined;
  throw new SafelightError(
    'INVALID_OPTION',
    `The model is not class-conditional (its condition: ${condition.kind}); remove class`,
  );
}

/** Checks the names of options of `sketch`. @throws INVALID_OPTION */
export function checkSketchOptions(options: DrawOptions): void {
  check.knownKeys('options', options, new Set(DRAW_KEYS));
}

/** Returns the side of the sliding window in codes: the training size if known, at most what the block size allows. */
export function sideOf({ source, downsampleFactor }: VqganModel): number {
  const { transformer, condition, resolution } = source;
  const block = transformer?.config.block_size ?? 1;
  const isGrid = condition.kind === 'image' || condition.kind === 'coordinates';
  const trained = resolution === null ? undefined : Math.max(1, Math.floor(resolution / downsampleFactor));
  return windowSide({ block, condition: isGrid ? 'grid' : 'tokens', trained });
}

/** Adds LARGE_IMAGE for an image with more than 4 times the pixels of the training images, if their size is known. */
export function warnIfLargeForVqgan(warnings: Warnings, model: VqganModel, size: Size): void {
  const { resolution, transformer } = model.source;
  if (resolution === null && transformer === null) return;
  const side = resolution ?? sideOf(model) * model.downsampleFactor;
  warnIfLarge(warnings, size, { width: side, height: side }, { effect: 'processing is slow' });
}
