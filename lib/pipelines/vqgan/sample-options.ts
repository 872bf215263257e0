/** What a sampling of codes can be asked for. */

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

/** How codes are drawn. */
export interface DrawOptions extends Partial<Undefinable<OptionsOf<typeof sampleFields>>> {
  /** Codes `[H/f][W/f]` to write over, in the place of random ones; their size is the image's, and every code is written under a window. */
  readonly start?: CodeGrid | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
  /** Called with each warning as it occurs; the result lists them all. */
  readonly onWarning?: OnWarning | undefined;
}

type Undefinable<T> = { [K in keyof T]: T[K] | undefined };

export interface SampleOptions extends DrawOptions {
  /** Of a class-conditional model: from 0. Needed there, and only there. */
  readonly class?: number | undefined;
}

export interface DrawSettings {
  readonly choice: { readonly topK: number; readonly topP: number; readonly temperature: number };
  readonly seed: number;
  /** In codes. */
  readonly width: number;
  readonly height: number;
  /** The window's side, in codes. */
  readonly side: number;
  readonly start: Tensor<Int32Array> | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: OnProgress | undefined;
  readonly warnings: Warnings;
}

const DRAW_KEYS = [...Object.keys(sampleFields), 'start', 'signal', 'onProgress', 'onWarning'];

/** @throws INVALID_OPTION naming the option, UNSUPPORTED_MODEL for a model that writes no codes */
export function resolveDraw(modules: VqganModel, options: DrawOptions): DrawSettings {
  modules.checkTransformer();
  const { downsampleFactor, defaults } = modules;
  const { topK, topP, temperature, seed } = validate(
    choiceFields,
    { ...options },
    { defaults: { ...defaults } },
  );
  const side = sideOf(modules);
  const start = options.start
    ? checkGrid(options.start, modules.vocabulary ?? 0, downsampleFactor)
    : undefined;
  const [, rows = side, columns = side] = start?.shape ?? [];
  const asked = defined(checkSize(options, downsampleFactor));
  const { width = columns * downsampleFactor, height = rows * downsampleFactor } = asked;
  if (start && (width !== columns * downsampleFactor || height !== rows * downsampleFactor))
    throw invalidOption(
      'start',
      `${height / downsampleFactor} rows of ${width / downsampleFactor} codes`,
      `${rows} of ${columns}`,
    );
  const control = checkControl(options);
  warnIfLargeForVqgan(control.warnings, modules, { width, height });
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

/** @throws INVALID_OPTION */
export function checkSampleOptions(options: SampleOptions): void {
  check.knownKeys('options', options, new Set([...DRAW_KEYS, 'class']));
}

/** @returns the class; undefined for a model that has none. @throws INVALID_OPTION */
export function resolveClass(
  condition: VqganModelSource['condition'],
  index: number | undefined,
): number | undefined {
  if (condition.kind === 'class') return check.integer('class', index, 0, condition.classes - 1);
  if (index === undefined) return undefined;
  throw new SafelightError(
    'INVALID_OPTION',
    `The model has no classes (its condition: ${condition.kind}); leave class out`,
  );
}

export function checkSketchOptions(options: DrawOptions): void {
  check.knownKeys('options', options, new Set(DRAW_KEYS));
}

/** Side of the window, in codes: what the model was trained at, as far as it tells. */
export function sideOf({ source, downsampleFactor }: VqganModel): number {
  const { transformer, condition, resolution } = source;
  const block = transformer?.config.block_size ?? 1;
  const many = condition.kind === 'image' || condition.kind === 'coordinates';
  const trained = resolution === null ? undefined : Math.max(1, Math.floor(resolution / downsampleFactor));
  return windowSide({ block, condition: many ? 'grid' : 'tokens', trained });
}

/** Adds LARGE_IMAGE for an image of more than four times the pixels that the model was trained at, as far as it tells. */
export function warnIfLargeForVqgan(warnings: Warnings, modules: VqganModel, size: Size): void {
  const { resolution, transformer } = modules.source;
  if (resolution === null && transformer === null) return;
  const side = resolution ?? sideOf(modules) * modules.downsampleFactor;
  warnIfLarge(warnings, size, { width: side, height: side }, { effect: 'it takes long' });
}
