import type { MemoryInfo } from '../../binding/types.js';
import type { combinePredictions } from '../../sampling/guidance.js';
import type { DiffusionNetwork, LatentShape } from '../../sampling/network.js';
import type { NoiseSchedule } from '../../sampling/noise-schedule.js';
import type { Prediction } from '../../sampling/prediction.js';

/** The network of a loaded model, and how it was trained. */
export interface DenoiseModel {
  readonly network: DiffusionNetwork;
  readonly prediction: Prediction;
  /** Bound of each number of x0, of models of pixels. */
  readonly clip?: number | undefined;
  /** Guidance branches one after the other instead of in one batch: half the memory. */
  readonly sequentialGuidance?: boolean;
  /** Combines the predictions of the branches where it is not plain guidance. */
  readonly guide?: typeof combinePredictions;
  /** The trained noise levels; of some families they depend on the latent's size and the number of steps. */
  noiseSchedule(run: { readonly shape: LatentShape; readonly steps: number }): NoiseSchedule;
  /** Undefined where no native module runs. */
  memory(): MemoryInfo | undefined;
}
