/** Options of an image's noise: its seed, and A1111's "Extra" row. */
import { choice, integer, number, type OptionsOf, seed, size } from '../field.js';
import { apiLimits } from '../limits.js';

export const seedFields = {
  /** Seed of the first image, counting up for the next: an integer from 0, below 2^53. -1, the default, is random, of 32 bits. */
  seed: seed({
    description: 'seed of the first image; default -1: random',
    flag: { short: 's' },
    infotext: { label: 'Seed', always: true },
  }),
};

export const variationFields = {
  /**
   * Seed of the variation, as `seed`; -1, the default: random. With a strength above 0 it counts up from image to image, and `seed`
   * stays.
   */
  subseed: seed({
    description: 'seed of a variation; default -1: random',
    infotext: { label: 'Variation seed' },
  }),
  /** Share of the way from the first noise to the variation's, 0 (default) to 1, on the arc between them. */
  subseedStrength: number({
    description: 'share of the way to the variation, 0 (default) to 1; the variation seed counts up then',
    ...{ min: 0, max: 1, default: 0 },
    infotext: { label: 'Variation seed strength' },
  }),
  /** Pixels of the image that this one should resemble though its size is another: that size's noise lies in the middle. */
  seedResizeFrom: size({
    description: 'resemble the image of this size',
    ...{ min: 1, max: apiLimits.maxSide },
    infotext: { label: 'Seed resize from' },
  }),
  /** Added to the seed for the noise that samplers add (A1111's ENSD), -2^31 to 2^31; default 0. */
  etaNoiseSeedDelta: integer({
    description: 'added to the seed for noise of samplers; default 0',
    ...{ min: -(2 ** 31), max: 2 ** 31, default: 0 },
    infotext: { label: 'ENSD' },
  }),
};

export const generatorFields = {
  /** The generator of random numbers: PyTorch's for the CPU (default) or for CUDA (A1111's NV). */
  rng: choice(['cpu', 'cuda'], {
    description: "random numbers as PyTorch's CPU (default) or CUDA generator",
    default: 'cpu',
    labels: { cpu: 'CPU', cuda: 'NV' },
    otherwise: 'cuda',
    flag: { argument: 'kind' },
    infotext: { label: 'RNG', always: true },
  }),
};

export const noiseFields = { ...seedFields, ...variationFields, ...generatorFields };
export type VariationOptions = OptionsOf<typeof variationFields>;
