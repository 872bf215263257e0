/** Seeds and noise of a call's images. */
import type { VariationOptions } from '../../options/declarations/noise.js';
import { createNoise, type ImageNoise } from '../../sampling/noise.js';
import type { LatentShape } from '../../sampling/variation.js';
import { rowsOf } from '../initial-tensors.js';
import type { Settings } from '../options.js';

/** Returns the seeds for a separate call that reproduces the images of a call from index `first` on. */
export function seedsAt(
  { seed, subseed, subseedStrength = 0 }: VariationOptions & { readonly seed: number },
  first: number,
): { seed: number; subseed?: number } {
  if (subseedStrength === 0 || subseed === undefined) return { seed: seed + first };
  return { seed, subseed: subseed + first };
}

/** Seeds of a batch of images. */
export interface BatchSeeds {
  readonly seeds: readonly number[];
  readonly subseeds: readonly number[];
}

/** A batch of a call's images. */
export interface ImageBatch extends BatchSeeds {
  /** Index of its first image in the call. */
  readonly first: number;
}

/**
 * Returns the seeds of images [first, first + size): with a variation the variation seeds are incremented, otherwise
 * the seeds.
 */
export function batchSeeds({ seed, variation }: Settings, first: number, size: number): BatchSeeds {
  const varies = variation.strength !== 0;
  const from = (start: number, step: number): number[] =>
    Array.from({ length: size }, (_, i) => start + (varies ? step : 1) * (first + i));
  return { seeds: from(seed, 0), subseeds: from(variation.subseed, 1) };
}

/** Creates the noise source of a batch. @param shape of the latent of one image */
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
