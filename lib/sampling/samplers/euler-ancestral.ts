import type { NoiseSchedule } from '../noise-schedule.js';
import type { Sampler } from '../types.js';
import { combine, eulerStep } from '../vector.js';
import { intervals, renoisedStep } from './steps.js';

/**
 * Ancestral sampling with Euler steps: each step goes below the next sigma and adds noise to reach it.
 * Reference: k-diffusion `sample_euler_ancestral`; for flow matching ComfyUI `sample_euler_ancestral_RF`.
 */
export function eulerAncestral(schedule: NoiseSchedule): Sampler {
  return async function* (denoise, latent, sigmas, noise, options = {}) {
    const { eta = 1, sNoise = 1 } = options;
    let x = latent;
    for (const interval of intervals(sigmas)) {
      const { sigma, sigmaNext } = interval;
      const denoised = await denoise(x, sigma);
      const { down, scale, up } = renoisedStep(schedule, sigma, sigmaNext, eta);
      x = eulerStep(x, denoised, sigma, down);
      if (sigmaNext > 0 && eta !== 0) x = combine([scale, x], [sNoise * up, noise.next()]);
      yield { ...interval, latent: x, denoised };
    }
    return x;
  };
}
