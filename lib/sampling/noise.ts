/** Noise for a batch of images, each from its own seed, so that an image does not depend on the others in the batch. */
import { invalidOption } from '../errors.js';
import { createBrownianNoise } from './brownian.js';
import { createGenerator, type Generator, type Rng, type Seed } from './generators/index.js';
import type { BrownianNoise, Latent, NoiseSource } from './types.js';
import { copyCentered, type LatentShape, slerp } from './variation.js';

export interface NoiseOptions {
  /** Random number generator: PyTorch's CPU (default) or CUDA generator. */
  readonly rng?: Rng;
  /** One per image. */
  readonly seeds: readonly Seed[];
  /** Values per latent, C * H * W. */
  readonly size: number;
  /**
   * Interval of the Brownian trees, [sigmaMin, sigmaMax], instead of the one that the sampler requests. As in A1111,
   * it spans the full schedule even if image to image starts in the middle.
   */
  readonly brownianRange?: readonly [number, number];
  /** Modifications of the initial noise. */
  readonly first?: FirstNoise;
}

/** Modifications of the initial noise: A1111's "Extra" seed options, and noise passed by the caller. */
export interface FirstNoise {
  /** Shape of one latent; its product is `size`. */
  readonly shape: LatentShape;
  /** Seeds of the variation noise, one per image. */
  readonly subseeds: readonly Seed[];
  /** Fraction of variation noise, 0 to 1. */
  readonly strength: number;
  /**
   * Height and width of the latent whose noise is placed in the centre, so that an image of another size resembles
   * it.
   */
  readonly from: readonly [height: number, width: number] | undefined;
  /** Initial noise `[count, size]` instead of the seed's. The sampler's noise is the same as without it. */
  readonly given?: Latent | undefined;
  /** Offset to the seed for all noise after the initial one; 0 continues with the same generator. */
  readonly seedDelta: number;
}

/** Source of the initial noise of images and of the noise that samplers add. */
export interface ImageNoise extends NoiseSource {
  /**
   * Returns the initial noise `[count, size]`, modified as `NoiseOptions.first` specifies. Call once, before the
   * sampler starts.
   */
  first(): Latent;
}

/**
 * Creates a noise source.
 * @throws INVALID_OPTION for an unknown generator, no seeds, a seed beyond 64 bits or an invalid size
 */
export function createNoise(options: NoiseOptions): ImageNoise {
  return new SeededNoise(options);
}

class SeededNoise implements ImageNoise {
  readonly size: number;
  readonly count: number;
  private generators: readonly Generator[];

  constructor(private readonly options: NoiseOptions) {
    const { rng = 'cpu', seeds, size } = options;
    if (!(Number.isSafeInteger(size) && size > 0)) throw invalidOption('size', 'a positive integer', size);
    if (seeds.length === 0) throw invalidOption('seeds', 'at least one seed', seeds);
    this.size = size;
    this.count = seeds.length;
    this.generators = seeds.map((seed) => createGenerator(rng, seed));
  }

  next(): Latent {
    const noise = new Float32Array(this.count * this.size);
    this.generators.forEach((generator, index) => {
      noise.set(generator.randn(this.size), index * this.size);
    });
    return noise;
  }

  first(): Latent {
    const noise = this.next();
    const { first, rng = 'cpu', seeds } = this.options;
    if (!first) return noise;
    if (first.given) noise.set(first.given);
    else
      seeds.forEach((seed, index) => {
        this.vary(noise.subarray(index * this.size, (index + 1) * this.size), seed, first, index);
      });
    if (first.seedDelta !== 0) {
      this.generators = seeds.map((seed) => createGenerator(rng, BigInt(seed) + BigInt(first.seedDelta)));
    }
    return noise;
  }

  /** Applies variation and resizing to the noise of one image, in place. */
  private vary(noise: Latent, seed: Seed, first: FirstNoise, index: number): void {
    const { shape, subseeds, strength, from } = first;
    const { rng = 'cpu' } = this.options;
    const [channels, height, width] = shape;
    const isResized = from !== undefined && (from[0] !== height || from[1] !== width);
    if (strength === 0 && !isResized) return;
    const noiseShape: LatentShape = isResized ? [channels, ...from] : shape;
    const count = noiseShape[0] * noiseShape[1] * noiseShape[2];
    let other = isResized ? createGenerator(rng, seed).randn(count) : noise;
    if (strength !== 0)
      other = slerp(strength, other, createGenerator(rng, subseeds[index]!).randn(count), noiseShape);
    if (isResized) copyCentered(noise, shape, other, noiseShape);
    else noise.set(other);
  }

  brownian(sigmaMin: number, sigmaMax: number): BrownianNoise {
    const { rng = 'cpu', seeds, brownianRange = [sigmaMin, sigmaMax] } = this.options;
    return createBrownianNoise(rng, seeds, this.size, ...brownianRange);
  }
}
