import { invalidOption } from '../../errors.js';
import type { NoiseSchedule } from '../noise-schedule.js';
import type { Sampler } from '../types.js';
import { combine, eulerStep } from '../vector.js';
import { intervals } from './steps.js';
import { timestepOf, toVariancePreserving } from './timesteps.js';

/**
 * Trajectory consistency sampling (Zheng et al. 2024, arXiv:2402.19159, Algorithm 4): each step is a DDIM step below
 * the next timestep t, to s = (1 - eta) * t, and adds noise to reach t. Reference: diffusers `TCDScheduler`; the
 * paper calls eta gamma.
 *
 * The sampler throws INVALID_OPTION for an eta outside [0, 1].
 */
export function tcd(schedule: NoiseSchedule): Sampler {
  return async function* (denoise, latent, sigmas, noise, options = {}) {
    const { eta = 0.3, sNoise = 1 } = options;
    if (!(eta >= 0 && eta <= 1))
      throw invalidOption('eta', 'a number between 0 and 1 (for sampler tcd)', eta);
    let x = latent;
    for (const interval of intervals(sigmas)) {
      const { step, steps, sigma, sigmaNext } = interval;
      const denoised = await denoise(x, sigma);
      const sigmaS = eta === 0 ? Math.max(sigmaNext, schedule.sigmaMin) : belowNext(schedule, sigmaNext, eta);
      x = eulerStep(x, denoised, sigma, sigmaS);
      if (step === steps - 1) {
        x = toVariancePreserving(x, sigmaS);
      } else if (eta !== 0) {
        x = combine([1, x], [sNoise * Math.sqrt(Math.max(0, sigmaNext ** 2 - sigmaS ** 2)), noise.next()]);
      }
      yield { ...interval, latent: x, denoised };
    }
    return x;
  };
}

/** Returns the sigma of timestep (1 - eta) * t, where t is the timestep of the next sigma; at the end that of timestep 0. */
function belowNext(schedule: NoiseSchedule, sigmaNext: number, eta: number): number {
  const s = Math.floor((1 - eta) * timestepOf(schedule, sigmaNext));
  // Sigmas between two timesteps are rounded, perhaps up.
  return Math.min(schedule.sigmas[s]!, Math.max(sigmaNext, schedule.sigmaMin));
}
