/**
 * Adapter from a network, which maps a scaled latent and timestep to its prediction, to a denoiser, which maps a
 * sigma to x0.
 */
import { SafelightError } from '../errors.js';
import type { NoiseSchedule } from './noise-schedule.js';
import { type Prediction, scalings } from './prediction.js';
import type { Denoise, Latent } from './types.js';

/**
 * Runs the network on a scaled latent `[B, C, H, W]` at a possibly fractional timestep and returns its raw prediction
 * of the same shape. `sigma` is the noise level of the timestep, on which guidance depends.
 */
export type Predict = (scaled: Latent, t: number, sigma: number) => Promise<Latent>;

/**
 * Wraps a network call as the denoiser of samplers. Modifies neither the latent nor the prediction.
 * @throws NOT_FINITE if the prediction contains NaN or infinity, SHAPE_MISMATCH if its size differs from the latent's
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
        `Expected ${x.length} values from the network, the size of the latent, received ${predicted.length}`,
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
        `The network's prediction is not finite at sigma ${sigma} (timestep ${t}); check the weights, their storage and the guidance scale`,
      );
    }
    return denoised;
  };
}
