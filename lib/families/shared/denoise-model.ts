import type { MemoryInfo } from '../../binding/types.js';
import type { combinePredictions } from '../../sampling/guidance.js';
import type { DiffusionNetwork, LatentShape } from '../../sampling/network.js';
import type { NoiseSchedule } from '../../sampling/noise-schedule.js';
import type { Prediction } from '../../sampling/prediction.js';

/** The network of a loaded model with its prediction type and noise schedule. */
export interface DenoiseModel {
  readonly network: DiffusionNetwork;
  readonly prediction: Prediction;
  /** Absolute bound to which x0 is clipped, for pixel-space models. */
  readonly clip?: number | undefined;
  /** Runs guidance branches sequentially instead of in one batch, which halves the memory. */
  readonly sequentialGuidance?: boolean;
  /** Combines the predictions of the branches; default classifier-free guidance. */
  readonly guide?: typeof combinePredictions;
  /** Returns the noise schedule, which may depend on the size of the latent and the number of steps. */
  noiseSchedule(run: { readonly shape: LatentShape; readonly steps: number }): NoiseSchedule;
  /** Returns the memory of the native module; undefined if there is none. */
  memory(): MemoryInfo | undefined;
}
