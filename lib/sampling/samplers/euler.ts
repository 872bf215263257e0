import type { Sampler } from '../types.js';
import { eulerStep } from '../vector.js';
import { churn, intervals } from './steps.js';

/**
 * Euler steps along the probability flow: Algorithm 2 without its correction, Karras et al. 2022 (arXiv:2206.00364).
 * Reference: k-diffusion `sample_euler`.
 */
export const euler: Sampler = async function* (denoise, latent, sigmas, noise, options = {}) {
  let x = latent;
  for (const interval of intervals(sigmas)) {
    const hat = churn(x, interval, noise, options);
    const denoised = await denoise(hat.x, hat.sigma);
    x = eulerStep(hat.x, denoised, hat.sigma, interval.sigmaNext);
    yield { ...interval, latent: x, denoised };
  }
  return x;
};
