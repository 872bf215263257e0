/**
 * Adaptive projected guidance (Sadat et al. 2024, arXiv:2410.02416): the difference of the predictions, which guidance
 * amplifies, is limited in size, and its part parallel to the positive prediction, which saturates colors, is reduced.
 * Like diffusers' guider, it works on the network's own kind of prediction.
 */
import type { Latent } from './types.js';

export interface ProjectionSettings {
  /** Factor of the part of the difference that is parallel to the positive prediction; 1 keeps it. */
  readonly eta: number;
  /** Largest norm of the difference of an image; 0 for no limit. */
  readonly threshold: number;
  /** Factor of the sum of earlier differences that is added; negative values avoid overshooting. */
  readonly momentum: number;
}

/** Predictions of a batch, `[B, ...]`. */
export interface GuidedPredictions {
  readonly base: Latent;
  readonly positive: Latent;
  /** Base plus the difference times the scale. */
  readonly guided: Latent;
}

/** Changes the guided predictions of a sampling pass. */
export class GuidanceProjection {
  /** Sum of the differences so far, decayed by the momentum. */
  private sum: Float32Array | undefined;

  constructor(
    private readonly settings: ProjectionSettings,
    private readonly scale: number,
  ) {}

  /** Replaces `guided` in place. @param size number of elements of an image */
  apply({ base, positive, guided }: GuidedPredictions, size: number): void {
    const { scale } = this;
    if (scale === 0) return;
    const sum = this.add(guided.map((value, i) => (value - base[i]!) / scale));
    for (let start = 0; start < guided.length; start += size) {
      const end = start + size;
      const update = this.projected(sum.subarray(start, end), positive.subarray(start, end));
      for (let i = start; i < end; i++) guided[i] = base[i]! + scale * update[i - start]!;
    }
  }

  /** Adds the earlier differences to those of an evaluation. */
  private add(differences: Float32Array): Float32Array {
    const { momentum } = this.settings;
    const { sum: earlier } = this;
    this.sum =
      earlier && momentum !== 0 ? differences.map((value, i) => value + momentum * earlier[i]!) : differences;
    return this.sum;
  }

  /** Returns the difference of one image, limited and with its parallel part multiplied by eta. */
  private projected(difference: Float32Array, positive: Latent): Float32Array {
    const { eta, threshold } = this.settings;
    const norm = Math.sqrt(dot(difference, difference));
    const factor = threshold > 0 && norm > threshold ? threshold / norm : 1;
    const length = dot(positive, positive);
    const parallel = length === 0 ? 0 : (dot(difference, positive) / length) * (1 - eta);
    return difference.map((value, i) => factor * (value - parallel * positive[i]!));
  }
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
