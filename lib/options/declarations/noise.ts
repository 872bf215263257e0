/** Options of the noise: the seed, and the variation options of A1111's "Extra" row. */
import { checkTensor } from '../../tensor/check-tensor.js';
import type { Tensor } from '../../tensor/tensor.js';
import { choice, custom, integer, number, type OptionsOf, seed, size } from '../field.js';
import { apiLimits } from '../limits.js';

export const seedFields = {
  /**
   * Seed of the first image, incremented for each further image: an integer from 0, below 2^53. The default -1
   * selects a random 32-bit seed.
   */
  seed: seed({
    description: 'seed of the first image; default -1, random',
    flag: { short: 's' },
    infotext: { label: 'Seed', always: true },
  }),
};

export const variationFields = {
  /**
   * Seed of the variation noise, as `seed`; default -1, random. If `subseedStrength` is above 0, it is incremented
   * for each image instead of `seed`.
   */
  subseed: seed({
    description: 'seed of the variation noise; default -1, random',
    infotext: { label: 'Variation seed' },
  }),
  /** Fraction of the spherical interpolation from the seed's noise to the variation's, 0 (default) to 1. */
  subseedStrength: number({
    description:
      'fraction of variation noise, 0 (default) to 1; above 0 the variation seed is incremented per image',
    ...{ min: 0, max: 1, default: 0 },
    infotext: { label: 'Variation seed strength' },
  }),
  /**
   * Size in pixels of an image to resemble at another size: its noise is placed in the centre of the new noise.
   */
  seedResizeFrom: size({
    description: 'resemble the image of this size with the same seed',
    ...{ min: 1, max: apiLimits.maxSide },
    infotext: { label: 'Seed resize from' },
  }),
  /** Offset to the seed of the noise that samplers add (A1111's ENSD), -2^31 to 2^31; default 0. */
  etaNoiseSeedDelta: integer({
    description: 'offset to the seed of the noise that samplers add; default 0',
    ...{ min: -(2 ** 31), max: 2 ** 31, default: 0 },
    infotext: { label: 'ENSD' },
  }),
};

export const generatorFields = {
  /** Random number generator: PyTorch's for the CPU (default) or for CUDA (A1111's NV). */
  rng: choice(['cpu', 'cuda'], {
    description: "random number generator: PyTorch's for CPU (default) or CUDA",
    default: 'cpu',
    labels: { cpu: 'CPU', cuda: 'NV' },
    otherwise: 'cuda',
    flag: { argument: 'kind' },
    infotext: { label: 'RNG', always: true },
  }),
};

export const givenNoiseFields = {
  /**
   * Initial noise instead of the seed's: `[1 or count, C, h, w]` of the size of the latent, standard normal values,
   * which are scaled to the first sigma. Noise that samplers add still depends on the seed. With hires fix, it
   * applies to the first pass.
   */
  noise: custom({
    description: 'initial noise',
    check: (name, value): Tensor => checkTensor(name, value, ['B', 'C', 'h', 'w']),
  }),
};

export const noiseFields = { ...seedFields, ...variationFields, ...generatorFields, ...givenNoiseFields };
export type VariationOptions = OptionsOf<typeof variationFields>;
