/** Options of the upscaler. */
import { invalidOption } from '../../errors.js';
import type { ModuleSettings } from '../../families/shared/loaded-model.js';
import { checkCallback, checkSignal } from '../../known-keys.js';
import type { MemoryMode } from '../../modules/loaded-module.js';
import { type LoadKey, loadKeys } from '../../modules/module-options.js';
import * as check from '../../options/check.js';
import type { Warnings } from '../../warnings.js';
import { checkLoadOptions, type LoadPipelineOptions } from '../model/load-options.js';

export interface UpscaleProgress {
  /** Bytes of weights in phase `load`, tiles in phase `upscale`. */
  readonly phase: 'load' | 'upscale';
  readonly step: number;
  readonly steps: number;
  /** Seconds since the start of the call. */
  readonly elapsed: number;
}

export interface LoadUpscalerOptions extends Omit<Pick<LoadPipelineOptions, LoadKey>, 'onProgress'> {
  readonly onProgress?: (progress: UpscaleProgress) => void;
}

export interface UpscaleOptions {
  /**
   * Ratio of the sides of result and image, 1/16 to 16; default the model's. Another one resizes the result of the model
   * with Lanczos.
   */
  readonly scale?: number | undefined;
  /**
   * Largest side in pixels above which the image is processed in overlapping tiles; 0 disables tiling. Default 192, 96
   * with memory `lean`.
   */
  readonly tile?: number | undefined;
  /** Smallest overlap of neighbouring tiles in pixels, less than `tile`. Default 32, at most half of `tile`. */
  readonly overlap?: number | undefined;
  /** Aborts between two operations of the network, also within a tile. */
  readonly signal?: AbortSignal | undefined;
  /** Receives the number of finished tiles. */
  readonly onProgress?: ((progress: UpscaleProgress) => void) | undefined;
}

/** Default side of a tile, by memory mode. */
const TILES: Readonly<Record<MemoryMode, number>> = { fast: 384, balanced: 192, lean: 96 };
const OVERLAP = 32;
const MIN_TILE = 16;
const MAX_TILE = 2 ** 16;
const MAX_SCALE = 16;

export interface UpscaleSettings {
  /** Undefined for the model's. */
  readonly scale: number | undefined;
  /** Infinity without tiling. */
  readonly tile: number;
  readonly overlap: number;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: UpscaleOptions['onProgress'];
}

/** @throws INVALID_OPTION */
export function checkUpscaleOptions(options: UpscaleOptions, memory: MemoryMode): UpscaleSettings {
  check.knownKeys('options', options, new Set(['scale', 'tile', 'overlap', 'signal', 'onProgress']));
  const { scale } = options;
  const side = check.integer('tile', options.tile ?? TILES[memory], 0, MAX_TILE);
  if (side !== 0 && side < MIN_TILE)
    throw invalidOption('tile', `0 (no tiling) or an integer between ${MIN_TILE} and ${MAX_TILE}`, side);
  const tile = side === 0 ? Number.POSITIVE_INFINITY : side;
  const overlap = check.integer(
    'overlap',
    options.overlap ?? Math.min(OVERLAP, Math.floor(tile / 2)),
    0,
    MAX_TILE,
  );
  if (overlap >= tile) throw invalidOption('overlap', `less than the ${tile} pixels of a tile`, overlap);
  const { signal, onProgress } = options;
  checkSignal('signal', signal);
  checkCallback('onProgress', onProgress);
  return {
    scale: scale === undefined ? undefined : check.number('scale', scale, 1 / MAX_SCALE, MAX_SCALE),
    ...{ tile, overlap, signal, onProgress },
  };
}

/** Validates the options for loading. @throws INVALID_OPTION */
export function checkLoadUpscalerOptions(options: LoadUpscalerOptions): {
  readonly modules: ModuleSettings;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: LoadUpscalerOptions['onProgress'];
  readonly warnings: Warnings;
} {
  check.knownKeys('options', options, new Set(loadKeys));
  const { onProgress, ...others } = options;
  const { modules, signal, warnings } = checkLoadOptions(others);
  checkCallback('onProgress', onProgress);
  return { modules, signal, onProgress, warnings };
}
