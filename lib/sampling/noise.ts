/** Noise for a batch of pictures, each from its own seed, so that a picture is the same alone and among others. */
import { invalidOption } from '../errors.js';
import { createBrownianNoise } from './brownian.js';
import { createGenerator, type Generator, type Rng, type Seed } from './generators/index.js';
import type { BrownianNoise, Latent, NoiseSource } from './types.js';

export interface NoiseOptions {
  /** Whose numbers: PyTorch's CPU generator (default) or its CUDA generator. */
  readonly rng?: Rng;
  /** One a picture. */
  readonly seeds: readonly Seed[];
  /** Numbers of one picture's latent, C * H * W. */
  readonly size: number;
  /**
   * Interval of the Brownian trees instead of the one a sampler asks for, [sigmaMin, sigmaMax]. A1111 spans them over the
   * whole schedule also where image to image starts in its middle.
   */
  readonly brownianRange?: readonly [number, number];
}

/** @throws INVALID_OPTION for an unknown generator, no seeds, a seed beyond 64 bits or a size that is no positive integer. */
export function createNoise(options: NoiseOptions): NoiseSource {
  return new SeededNoise(options);
}

class SeededNoise implements NoiseSource {
  readonly size: number;
  readonly count: number;
  private readonly generators: readonly Generator[];

  constructor(private readonly options: NoiseOptions) {
    const { rng = 'cpu', seeds, size } = options;
    if (!(Number.isSafeInteger(size) && size > 0)) throw invalidOption('size', 'positive integer', size);
    if (seeds.length === 0) throw invalidOption('seeds', 'at least one seed', seeds);
    this.size = size;
    this.count = seeds.length;
    this.generators = seeds.map((seed) => createGenerator(rng, seed));
  }

  next(): Latent {
    const noise = new Float32Array(this.count * this.size);
    this.generators.forEach((generator, picture) => {
      noise.set(generator.randn(this.size), picture * this.size);
    });
    return noise;
  }

  brownian(sigmaMin: number, sigmaMax: number): BrownianNoise {
    const { rng = 'cpu', seeds, brownianRange = [sigmaMin, sigmaMax] } = this.options;
    return createBrownianNoise(rng, seeds, this.size, ...brownianRange);
  }
}
