import type { Tensor } from '../../../tensor/tensor.js';

/** A step of the sampler, with the tapped values of its last network run. */
export interface DenoiseStep {
  /** Index of the step, from 0. */
  readonly step: number;
  readonly steps: number;
  /** Noise levels before and after the step. */
  readonly sigma: number;
  readonly sigmaNext: number;
  /** `[B, C, h, w]`, the sampler's state: modifying it affects the following steps. */
  readonly latent: Tensor;
  /** `[B, C, h, w]`: prediction of the clean latent. Modifying it affects multistep samplers, which reuse it. */
  readonly x0: Tensor;
  /**
   * Tapped values by node name. Their batch dimension contains all images of the first branch of `conditions`, then
   * of the next.
   */
  readonly taps: Readonly<Record<string, Tensor>>;
  /** Names of the guidance branches in the batch of `taps`. */
  readonly conditions: readonly string[];
  /**
   * With the option `predictions`: the network's predictions `[B, C, h, w]` of the step's last evaluation, by
   * guidance branch (`positive`, `negative`), of the quantity `pipeline.info.prediction`. Branches that did not run
   * are missing.
   */
  readonly predictions?: Readonly<Record<string, Tensor>>;
  /** With the option `predictions`: the guided prediction `[B, C, h, w]`. */
  readonly guided?: Tensor;
}
