import type { NoiseSchedule } from '../../noise-schedule.js';
import type { Sampler } from '../../types.js';
import { combine } from '../../vector.js';
import { intervals, renoisedStep } from '../steps.js';
import { midpointStep } from './dpm2.js';

/**
 * Ancestral sampling with DPM-Solver-2 midpoint steps.
 * Reference: k-diffusion `sample_dpm_2_ancestral`; for flow matching ComfyUI `sample_dpm_2_ancestral_RF`.
 */
export function dpm2Ancestral(schedule: NoiseSchedule): Sampler {
  return async function* (denoise, latent, sigmas, noise, options = {}) {
    const { eta = 1, sNoise = 1 } = options;
    let x = latent;
    for (const interval of intervals(sigmas)) {
      const denoised = await denoise(x, interval.sigma);
      const { down, scale, up } = renoisedStep(schedule, interval.sigma, interval.sigmaNext, eta);
      x = await midpointStep(denoise, x, denoised, interval.sigma, down);
      if (down > 0 && eta !== 0) x = combine([scale, x], [sNoise * up, noise.next()]);
      yield { ...interval, latent: x, denoised };
    }
    return x;
  };
}
