/** Seeds and noise of the images of a call. */
import type { VariationOptions } from '../../options/declarations/noise.js';
import { createNoise, type ImageNoise } from '../../sampling/noise.js';
import type { LatentShape } from '../../sampling/variation.js';
import { rowsOf } from '../given-tensors.js';
import type { Settings } from '../options.js';

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

/** A batch of a call's images. */
export interface ImageBatch extends BatchSeeds {
  /** Images of the call before it. */
  readonly first: number;
}

/** Of the pictures [first, first + size) of a call: one of the two counts up. */
export function batchSeeds({ seed, variation }: Settings, first: number, size: number): BatchSeeds {
  const varies = variation.strength !== 0;
  const from = (start: number, step: number): number[] =>
    Array.from({ length: size }, (_, i) => start + (varies ? step : 1) * (first + i));
  return { seeds: from(seed, 0), subseeds: from(variation.subseed, 1) };
}

/** The noise of a batch. @param factor pixels that a latent side stands for */
export function imageNoise(
  { rng, variation, given }: Pick<Settings, 'rng' | 'variation' | 'given'>,
  { seeds, subseeds, first }: ImageBatch,
  shape: LatentShape,
  downsampleFactor: number,
  brownianRange?: readonly [number, number],
): ImageNoise {
  const { from, strength, seedDelta } = variation;
  const onGrid = (pixels: number): number => Math.max(1, Math.floor(pixels / downsampleFactor));
  return createNoise({
    rng,
    seeds,
    size: shape[0] * shape[1] * shape[2],
    first: {
      ...{ shape, subseeds, strength, seedDelta },
      from: from && [onGrid(from.height), onGrid(from.width)],
      given: given.noise && rowsOf(given.noise, first, seeds.length).data,
    },
    ...(brownianRange ? { brownianRange } : {}),
  });
}
