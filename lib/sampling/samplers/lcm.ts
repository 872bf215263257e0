import { addNoise, isFlow, type NoiseSchedule } from '../noise-schedule.js';
import type { Sampler } from '../types.js';
import { combine } from '../vector.js';
import { intervals } from './steps.js';
import { timestepOf } from './timesteps.js';

const SIGMA_DATA = 0.5;
const TIMESTEP_SCALING = 10;

/**
 * Latent consistency sampling (Luo et al. 2023, arXiv:2310.04378, Algorithm 1): each step predicts x0 and adds noise
 * of the next level. Reference: diffusers `LCMScheduler` (50 original steps); for flow matching
 * `FlowMatchLCMScheduler`.
 */
export function lcm(schedule: NoiseSchedule): Sampler {
  if (isFlow(schedule)) return flowLcm(schedule);
  return async function* (denoise, latent, sigmas, noise, { sNoise = 1 } = {}) {
    let x = latent;
    for (const interval of intervals(sigmas)) {
      const { step, steps, sigma, sigmaNext } = interval;
      const denoised = await denoise(x, sigma);
      // Boundary condition of a consistency function, f(x, 0) = x, with x scaled as the network's input.
      const t = timestepOf(schedule, sigma) * TIMESTEP_SCALING;
      const skip = SIGMA_DATA ** 2 / (t ** 2 + SIGMA_DATA ** 2);
      const out = t / Math.sqrt(t ** 2 + SIGMA_DATA ** 2);
      x = combine([out, denoised], [skip / Math.sqrt(1 + sigma * sigma), x]);
      if (step < steps - 1) x = combine([1, x], [sNoise * sigmaNext, noise.next()]);
      yield { ...interval, latent: x, denoised };
    }
    return x;
  };
}

/** Flow-matching models are distilled without a boundary condition. */
function flowLcm(schedule: NoiseSchedule): Sampler {
  return async function* (denoise, latent, sigmas, noise, { sNoise = 1 } = {}) {
    let x = latent;
    for (const interval of intervals(sigmas)) {
      const { sigma, sigmaNext } = interval;
      const denoised = await denoise(x, sigma);
      x = sigmaNext > 0 ? addNoise(schedule, denoised, noise.next(), sigmaNext, sNoise) : denoised.slice();
      yield { ...interval, latent: x, denoised };
    }
    return x;
  };
}
