import type { Sampler } from '../../types.js';
import { combine, eulerStep } from '../../vector.js';
import { ancestralStep, intervals } from '../steps.js';

/**
 * Ancestral sampling with single-step second-order DPM-Solver++ steps (Lu et al. 2022, arXiv:2211.01095).
 * Reference: k-diffusion `sample_dpmpp_2s_ancestral`.
 */
export const dpmpp2sAncestral: Sampler = async function* (denoise, latent, sigmas, noise, options = {}) {
  const { eta = 1, sNoise = 1 } = options;
  let x = latent;
  for (const interval of intervals(sigmas)) {
    const { sigma, sigmaNext } = interval;
    const denoised = await denoise(x, sigma);
    const { down, up } = ancestralStep(sigma, sigmaNext, eta);
    if (down === 0) {
      x = eulerStep(x, denoised, sigma, 0);
    } else {
      // in terms of x0 the exponential integrator of the paper is a straight line from sigma to down
      const sigmaMid = Math.sqrt(sigma * down);
      const mid = eulerStep(x, denoised, sigma, sigmaMid);
      x = eulerStep(x, await denoise(mid, sigmaMid), sigma, down);
    }
    if (sigmaNext > 0 && eta !== 0) x = combine([1, x], [sNoise * up, noise.next()]);
    yield { ...interval, latent: x, denoised };
  }
  return x;
};
