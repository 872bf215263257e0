import type { Tensor } from '../../../tensor/tensor.js';

/** A step of the sampler, and what was read out of the network's last run in it. */
export interface DenoiseStep {
  /** 0-based. */
  readonly step: number;
  readonly steps: number;
  /** Noise levels before and after the step. */
  readonly sigma: number;
  readonly sigmaNext: number;
  /** `[B, C, h, w]`, the sampler's own state: what is written into it counts from the next step on. */
  readonly latent: Tensor;
  /** `[B, C, h, w]`: the image that the model saw at this step; what is written into it, multi-step samplers remember. */
  readonly x0: Tensor;
  /** By name; their batches go through `conditions`, and within them through the images. */
  readonly taps: Readonly<Record<string, Tensor>>;
  readonly conditions: readonly string[];
  /**
   * With the option `predictions`: the network's own predictions `[B, C, h, w]` (of noise, v or velocity: `pipeline.info.prediction`) in the
   * step's last evaluation, by the names of guidance branches (`positive`, `negative`). A branch that did not run has none.
   */
  readonly predictions?: Readonly<Record<string, Tensor>>;
  /** With the option `predictions`: what guidance made of them, `[B, C, h, w]`. */
  readonly guided?: Tensor;
}
