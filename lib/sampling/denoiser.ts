/** The bridge between a network, which takes a timestep, and samplers, which take a sigma and expect x0. */
import { SafelightError } from '../errors.js';
import type { NoiseSchedule } from './noise-schedule.js';
import { type Prediction, scalings } from './prediction.js';
import type { Denoise, Latent } from './types.js';

/**
 * Runs the network on a scaled latent `[B, C, H, W]` at a (fractional) timestep and gives its raw prediction, same shape;
 * the timestep's sigma is for what depends on it around the network, such as guidance.
 */
export type Predict = (scaled: Latent, t: number, sigma: number) => Promise<Latent>;

/**
 * Turns a raw network call into what samplers use. Neither the sampler's latent nor the prediction is written to.
 * @throws NOT_FINITE if the prediction holds NaN or infinity; SHAPE_MISMATCH if it has another size than the latent.
 */
export function createDenoise(schedule: NoiseSchedule, prediction: Prediction, predict: Predict): Denoise {
  return async (x, sigma) => {
    const { cIn, cOut, cSkip } = scalings(prediction, sigma);
    const t = schedule.sigmaToT(sigma);
    const predicted = await predict(
      x.map((value) => value * cIn),
      t,
      sigma,
    );
    if (predicted.length !== x.length) {
      throw new SafelightError(
        'SHAPE_MISMATCH',
        `The network gave ${predicted.length} numbers for a latent of ${x.length}`,
      );
    }
    const denoised = new Float32Array(x.length);
    let finite = 0; // NaN as soon as one value is not finite
    for (let i = 0; i < x.length; i++) {
      const value = predicted[i]! * cOut + x[i]! * cSkip;
      finite += value * 0;
      denoised[i] = value;
    }
    if (finite !== 0) {
      throw new SafelightError(
        'NOT_FINITE',
        `The network's prediction is not finite at sigma ${sigma} (timestep ${t}): its weights or the guidance scale are beyond what it can run`,
      );
    }
    return denoised;
  };
}
