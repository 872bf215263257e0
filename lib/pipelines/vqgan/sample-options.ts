/** What a sampling of codes can be asked for. */
import { invalidOption, SafelightError } from '../../errors.js';
import type { CodesModelSource } from '../../families/shared/vqgan/open-vqgan.js';
import { windowSide } from '../../sampling/autoregressive/window.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { OnWarning, Warnings } from '../../warnings.js';
import * as check from '../check.js';
import { type Size, warnIfLarge } from '../diffusion/image-size.js';
import { checkControl, checkSize } from '../options.js';
import type { OnProgress } from '../progress.js';
import { type CodeGrid, checkGrid } from './grid.js';
import type { CodesModules } from './modules.js';

/** How codes are drawn. */
export interface DrawOptions {
  /** Draw among so many of the most probable codes; default 250, or the model's. */
  readonly topK?: number | undefined;
  /** Draw among the fewest most probable codes whose probabilities sum to more than this, in (0, 1]; default 1, or the model's. */
  readonly topP?: number | undefined;
  /** Logits are divided by it: less than 1 is more careful, more is wilder; in (0, 100], default 1, or the model's. */
  readonly temperature?: number | undefined;
  /** Of PyTorch's CPU generator; integer of at least 0, below 2^53. -1, the default: random, 32 bits. */
  readonly seed?: number | undefined;
  /**
   * Pixels, multiples of the model's factor; default the size it was trained at. Of larger pictures every code is written under a window of
   * that size around it, beginning with random ones.
   */
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  /** Codes `[H/f][W/f]` to write over, in the place of random ones; their size is the picture's, and every code is written under a window. */
  readonly start?: CodeGrid | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
  /** Called with each warning as it occurs; the result lists them all. */
  readonly onWarning?: OnWarning | undefined;
}

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

const DRAW_KEYS = [
  ...['topK', 'topP', 'temperature', 'seed', 'width', 'height', 'start', 'signal', 'onProgress', 'onWarning'],
];
/** taming's own (`scripts/sample_fast.py`, `sample_conditional.py`). */
const USUAL = { topK: 250, topP: 1, temperature: 1 };
const MAX_TOP_K = 2 ** 22;

/** @throws INVALID_OPTION naming the option, UNSUPPORTED_MODEL for a model that writes no codes */
export function resolveDraw(modules: CodesModules, options: DrawOptions): DrawSettings {
  modules.checkTransformer();
  const { factor, defaults } = modules;
  const { topK, topP, temperature } = { ...USUAL, ...defaults, ...withoutUndefined(options) };
  const side = sideOf(modules);
  const start = options.start && checkGrid(options.start, modules.vocabulary ?? 0, factor);
  const [, rows = side, columns = side] = start?.shape ?? [];
  const asked = withoutUndefined(checkSize(options, factor));
  const { width = columns * factor, height = rows * factor } = asked;
  if (start && (width !== columns * factor || height !== rows * factor))
    throw invalidOption(
      'start',
      `${height / factor} rows of ${width / factor} codes`,
      `${rows} of ${columns}`,
    );
  const control = checkControl(options);
  warnIfLargeForCodes(control.warnings, modules, { width, height });
  return {
    choice: {
      topK: check.integer('topK', topK, 1, MAX_TOP_K),
      topP: check.number('topP', topP, Number.MIN_VALUE, 1),
      temperature: check.number('temperature', temperature, 1e-6, 100),
    },
    seed: check.seed('seed', options.seed),
    width: width / factor,
    height: height / factor,
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
  condition: CodesModelSource['condition'],
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
export function sideOf({ source, factor }: CodesModules): number {
  const { transformer, condition, resolution } = source;
  const block = transformer?.config.block_size ?? 1;
  const many = condition.kind === 'image' || condition.kind === 'coordinates';
  const trained = resolution === null ? undefined : Math.max(1, Math.floor(resolution / factor));
  return windowSide({ block, condition: many ? 'grid' : 'tokens', trained });
}

/** Adds LARGE_IMAGE for an image of more than four times the pixels that the model was trained at, as far as it tells. */
export function warnIfLargeForCodes(warnings: Warnings, modules: CodesModules, size: Size): void {
  const { resolution, transformer } = modules.source;
  if (resolution === null && transformer === null) return;
  const side = resolution ?? sideOf(modules) * modules.factor;
  warnIfLarge(warnings, size, { width: side, height: side }, { effect: 'it takes long' });
}

function withoutUndefined<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
