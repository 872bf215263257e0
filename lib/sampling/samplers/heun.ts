import type { Denoise, Latent, Sampler } from '../types.js';
import { combine, eulerStep, slope } from '../vector.js';
import { churn, intervals } from './steps.js';

/**
 * Heun's method: Algorithm 2 of Karras et al. 2022 (arXiv:2206.00364). Two model calls per step, one in the last.
 * Reference: k-diffusion `sample_heun`.
 */
export const heun: Sampler = async function* (denoise, latent, sigmas, noise, options = {}) {
  let x = latent;
  for (const interval of intervals(sigmas)) {
    const hat = churn(x, interval, noise, options);
    const stepped = await heunStep(denoise, hat.x, hat.sigma, interval.sigmaNext);
    x = stepped.x;
    yield { ...interval, latent: x, denoised: stepped.denoised };
  }
  return x;
};

/**
 * Steps along the mean of the slopes at both ends of an Euler step; a step to sigma 0, where the slope is undefined,
 * is Euler's.
 */
export async function heunStep(
  denoise: Denoise,
  x: Latent,
  sigma: number,
  sigmaNext: number,
): Promise<{ x: Latent; denoised: Latent }> {
  const denoised = await denoise(x, sigma);
  const end = eulerStep(x, denoised, sigma, sigmaNext);
  if (sigmaNext === 0) return { x: end, denoised };
  const slopeAtEnd = slope(end, sigmaNext, await denoise(end, sigmaNext));
  const half = (sigmaNext - sigma) / 2;
  return { x: combine([1, x], [half, slope(x, sigma, denoised)], [half, slopeAtEnd]), denoised };
}
