import type { Sampler } from '../types.js';
import { eulerStep } from '../vector.js';
import { churn, intervals } from './steps.js';

/**
 * Euler's method on the probability flow: Algorithm 2 of Karras et al. 2022 (arXiv:2206.00364) without the correction.
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
