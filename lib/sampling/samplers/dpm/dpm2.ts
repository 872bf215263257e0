import type { Denoise, Latent, Sampler } from '../../types.js';
import { combine, eulerStep, slope } from '../../vector.js';
import { churn, intervals } from '../steps.js';

/**
 * Midpoint method in log sigma, based on DPM-Solver-2 (Lu et al. 2022, arXiv:2206.00927) and Algorithm 2 of Karras et
 * al. 2022. Reference: k-diffusion `sample_dpm_2`.
 */
export const dpm2: Sampler = async function* (denoise, latent, sigmas, noise, options = {}) {
  let x = latent;
  for (const interval of intervals(sigmas)) {
    const hat = churn(x, interval, noise, options);
    const denoised = await denoise(hat.x, hat.sigma);
    x = await midpointStep(denoise, hat.x, denoised, hat.sigma, interval.sigmaNext);
    yield { ...interval, latent: x, denoised };
  }
  return x;
};

/** Steps to `sigmaNext` along the slope at the geometric mean of the two sigmas; a step to sigma 0 is Euler's. */
export async function midpointStep(
  denoise: Denoise,
  x: Latent,
  denoised: Latent,
  sigma: number,
  sigmaNext: number,
): Promise<Latent> {
  if (sigmaNext === 0) return eulerStep(x, denoised, sigma, 0);
  const sigmaMid = Math.sqrt(sigma * sigmaNext);
  const mid = eulerStep(x, denoised, sigma, sigmaMid);
  return combine([1, x], [sigmaNext - sigma, slope(mid, sigmaMid, await denoise(mid, sigmaMid))]);
}
