import type { Latent, Sampler } from '../../types.js';
import { combine, eulerStep } from '../../vector.js';
import { intervals } from '../steps.js';

/**
 * Second-order multistep DPM-Solver++ (Lu et al. 2022, arXiv:2211.01095, Algorithm 2).
 * Reference: k-diffusion `sample_dpmpp_2m`.
 */
export const dpmpp2m: Sampler = async function* (denoise, latent, sigmas) {
  let x = latent;
  let last: { denoised: Latent; h: number } | undefined;
  for (const interval of intervals(sigmas)) {
    const { sigma, sigmaNext } = interval;
    const denoised = await denoise(x, sigma);
    const h = Math.log(sigma / sigmaNext);
    if (last === undefined || sigmaNext === 0) {
      x = eulerStep(x, denoised, sigma, sigmaNext);
    } else {
      const extra = h / (2 * last.h); // 1 / (2r): extrapolates x0 by half a step
      const extrapolated = combine([1 + extra, denoised], [-extra, last.denoised]);
      x = eulerStep(x, extrapolated, sigma, sigmaNext);
    }
    last = { denoised, h };
    yield { ...interval, latent: x, denoised };
  }
  return x;
};
