/** Options of a picture's noise besides its seed: A1111's "Extra" row. */
import { createNoise, type PictureNoise } from '../sampling/noise.js';
import type { LatentShape } from '../sampling/variation.js';
import * as check from './check.js';
import { MAX_SIDE } from './limits.js';
import type { Settings } from './options.js';

export interface VariationOptions {
  /**
   * Seed of the variation, as `seed`; -1, the default: random. With a strength above 0 it counts up from picture to picture, and `seed`
   * stays.
   */
  readonly subseed?: number;
  /** How far the first noise goes towards the variation's, 0 (default) to 1, on the arc between them. */
  readonly subseedStrength?: number;
  /** Pixels of the picture that this one should resemble though its size is another: that size's noise lies in the middle. */
  readonly seedResizeFrom?: { readonly width: number; readonly height: number };
  /** Added to the seed for the noise that samplers add (A1111's ENSD), -2^31 to 2^31; default 0. */
  readonly etaNoiseSeedDelta?: number;
}

export interface VariationSettings {
  readonly subseed: number;
  readonly strength: number;
  readonly from: { readonly width: number; readonly height: number } | undefined;
  readonly seedDelta: number;
}

export const variationKeys = ['subseed', 'subseedStrength', 'seedResizeFrom', 'etaNoiseSeedDelta'] as const;

/** @throws INVALID_OPTION naming the option */
export function resolveVariation(options: VariationOptions, count: number): VariationSettings {
  const { seedResizeFrom } = options;
  if (seedResizeFrom !== undefined)
    check.knownKeys('seedResizeFrom', seedResizeFrom, new Set(['width', 'height']));
  const side = (name: 'width' | 'height'): number =>
    check.integer(`seedResizeFrom.${name}`, seedResizeFrom?.[name], 1, MAX_SIDE);
  return {
    subseed: check.seed('subseed', options.subseed, Number.MAX_SAFE_INTEGER - count),
    strength: check.number('subseedStrength', options.subseedStrength ?? 0, 0, 1),
    from: seedResizeFrom === undefined ? undefined : { width: side('width'), height: side('height') },
    seedDelta: check.integer('etaNoiseSeedDelta', options.etaNoiseSeedDelta ?? 0, -(2 ** 31), 2 ** 31),
  };
}

/** The seeds with which a call that makes only the pictures from `first` on makes the same ones. */
export function seedsAt(
  { seed, subseed, subseedStrength = 0 }: VariationOptions & { readonly seed: number },
  first: number,
): { seed: number; subseed?: number } {
  if (subseedStrength === 0 || subseed === undefined) return { seed: seed + first };
  return { seed, subseed: subseed + first };
}

/** Seeds of a batch of pictures. */
export interface BatchSeeds {
  readonly seeds: readonly number[];
  readonly subseeds: readonly number[];
}

/** Of the pictures [first, first + size) of a call: one of the two counts up. */
export function batchSeeds({ seed, variation }: Settings, first: number, size: number): BatchSeeds {
  const varies = variation.strength !== 0;
  const from = (start: number, step: number): number[] =>
    Array.from({ length: size }, (_, i) => start + (varies ? step : 1) * (first + i));
  return { seeds: from(seed, 0), subseeds: from(variation.subseed, 1) };
}

/** The noise of a batch. @param factor pixels that a latent side stands for */
export function pictureNoise(
  { rng, variation }: Settings,
  { seeds, subseeds }: BatchSeeds,
  shape: LatentShape,
  factor: number,
  brownianRange?: readonly [number, number],
): PictureNoise {
  const { from, strength, seedDelta } = variation;
  const onGrid = (pixels: number): number => Math.max(1, Math.floor(pixels / factor));
  return createNoise({
    rng,
    seeds,
    size: shape[0] * shape[1] * shape[2],
    first: { shape, subseeds, strength, seedDelta, from: from && [onGrid(from.height), onGrid(from.width)] },
    ...(brownianRange ? { brownianRange } : {}),
  });
}
