import type { Sampler } from '../types.js';
import { combine, eulerStep } from '../vector.js';
import { ancestralStep, intervals } from './steps.js';

/**
 * Ancestral sampling with Euler steps: a step further than asked, then fresh noise back up.
 * Reference: k-diffusion `sample_euler_ancestral`.
 */
export const eulerAncestral: Sampler = async function* (denoise, latent, sigmas, noise, options = {}) {
  const { eta = 1, sNoise = 1 } = options;
  let x = latent;
  for (const interval of intervals(sigmas)) {
    const { sigma, sigmaNext } = interval;
    const denoised = await denoise(x, sigma);
    const { down, up } = ancestralStep(sigma, sigmaNext, eta);
    x = eulerStep(x, denoised, sigma, down);
    if (sigmaNext > 0 && eta !== 0) x = combine([1, x], [sNoise * up, noise.next()]);
    yield { ...interval, latent: x, denoised };
  }
  return x;
};
