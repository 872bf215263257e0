import type { Sampler } from '../types.js';
import { combine, eulerStep } from '../vector.js';
import { ancestralStep, intervals } from './steps.js';
import { toVariancePreserving } from './timesteps.js';

/**
 * DDIM (Song et al. 2021, arXiv:2010.02502, equations 12 and 16). In sigmas, its step equals Euler's and eta adds the
 * noise of an ancestral step, including in the last step, which ends at timestep 0 instead of sigma 0. Reference:
 * diffusers `DDIMScheduler` (leading, steps_offset 1, set_alpha_to_one false).
 */
export const ddim: Sampler = async function* (denoise, latent, sigmas, noise, options = {}) {
  const { eta = 0, sNoise = 1 } = options;
  let x = latent;
  for (const interval of intervals(sigmas)) {
    const { step, steps, sigma, sigmaNext } = interval;
    const denoised = await denoise(x, sigma);
    const { down, up } = ancestralStep(sigma, sigmaNext, eta);
    x = eulerStep(x, denoised, sigma, down);
    if (eta !== 0) x = combine([1, x], [sNoise * up, noise.next()]);
    if (step === steps - 1) x = toVariancePreserving(x, sigmaNext);
    yield { ...interval, latent: x, denoised };
  }
  return x;
};

/**
 * Ancestral sampling (Ho et al. 2020, arXiv:2006.11239, algorithm 2) with the posterior's variance on a subset of the
 * timesteps: DDIM with eta 1. Reference: diffusers `DDPMScheduler` (fixed_small).
 */
export const ddpm: Sampler = (denoise, latent, sigmas, noise, options = {}) =>
  ddim(denoise, latent, sigmas, noise, { eta: 1, ...options });
