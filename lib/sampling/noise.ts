/** Noise for a batch of pictures, each from its own seed, so that a picture is the same alone and among others. */
import { invalidOption } from '../errors.js';
import { createBrownianNoise } from './brownian.js';
import { createGenerator, type Generator, type Rng, type Seed } from './generators/index.js';
import type { BrownianNoise, Latent, NoiseSource } from './types.js';
import { type LatentShape, layCentered, slerp } from './variation.js';

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
  /** What makes the first noise of a picture another than its seed's. */
  readonly first?: FirstNoise;
}

/** A1111's "Extra" seeds. */
export interface FirstNoise {
  /** Of one picture's latent; `size` is its product. */
  readonly shape: LatentShape;
  /** Seeds of the noise to go towards, one a picture, and how far: 0 (not at all) to 1. */
  readonly subseeds: readonly Seed[];
  readonly strength: number;
  /** Height and width of the latent whose noise is laid into the middle, so that a picture of another size resembles it. */
  readonly from: readonly [height: number, width: number] | undefined;
  /** The first noise itself, `[count, size]`, in the place of what is drawn; samplers draw on from where they would after it. */
  readonly given?: Latent | undefined;
  /** Added to the seed for all noise after the first; 0 goes on with the same generator. */
  readonly seedDelta: number;
}

/** Noise that begins a picture, and the noise of its sampler. */
export interface ImageNoise extends NoiseSource {
  /** The noise a picture begins with, `[count, size]`: `next()`, varied as `NoiseOptions.first` says. Once, before the sampler draws. */
  first(): Latent;
}

/** @throws INVALID_OPTION for an unknown generator, no seeds, a seed beyond 64 bits or a size that is no positive integer. */
export function createNoise(options: NoiseOptions): ImageNoise {
  return new SeededNoise(options);
}

class SeededNoise implements ImageNoise {
  readonly size: number;
  readonly count: number;
  private generators: readonly Generator[];

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

  first(): Latent {
    const noise = this.next();
    const { first, rng = 'cpu', seeds } = this.options;
    if (!first) return noise;
    if (first.given) noise.set(first.given);
    else
      seeds.forEach((seed, picture) => {
        this.vary(noise.subarray(picture * this.size, (picture + 1) * this.size), seed, first, picture);
      });
    if (first.seedDelta !== 0) {
      this.generators = seeds.map((seed) => createGenerator(rng, BigInt(seed) + BigInt(first.seedDelta)));
    }
    return noise;
  }

  /** Changes one picture's noise in place. */
  private vary(noise: Latent, seed: Seed, first: FirstNoise, picture: number): void {
    const { shape, subseeds, strength, from } = first;
    const { rng = 'cpu' } = this.options;
    const [channels, height, width] = shape;
    const isResized = from !== undefined && (from[0] !== height || from[1] !== width);
    if (strength === 0 && !isResized) return;
    const drawn: LatentShape = isResized ? [channels, ...from] : shape;
    const count = drawn[0] * drawn[1] * drawn[2];
    let other = isResized ? createGenerator(rng, seed).randn(count) : noise;
    if (strength !== 0)
      other = slerp(strength, other, createGenerator(rng, subseeds[picture]!).randn(count), drawn);
    if (isResized) layCentered(noise, shape, other, drawn);
    else noise.set(other);
  }

  brownian(sigmaMin: number, sigmaMax: number): BrownianNoise {
    const { rng = 'cpu', seeds, brownianRange = [sigmaMin, sigmaMax] } = this.options;
    return createBrownianNoise(rng, seeds, this.size, ...brownianRange);
  }
}
