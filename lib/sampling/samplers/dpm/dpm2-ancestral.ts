import type { Sampler } from '../../types.js';
import { combine } from '../../vector.js';
import { ancestralStep, intervals } from '../steps.js';
import { midpointStep } from './dpm2.js';

/** Ancestral sampling with DPM-Solver-2 midpoint steps. Reference: k-diffusion `sample_dpm_2_ancestral`. */
export const dpm2Ancestral: Sampler = async function* (denoise, latent, sigmas, noise, options = {}) {
  const { eta = 1, sNoise = 1 } = options;
  let x = latent;
  for (const interval of intervals(sigmas)) {
    const denoised = await denoise(x, interval.sigma);
    const { down, up } = ancestralStep(interval.sigma, interval.sigmaNext, eta);
    x = await midpointStep(denoise, x, denoised, interval.sigma, down);
    if (down > 0 && eta !== 0) x = combine([1, x], [sNoise * up, noise.next()]);
    yield { ...interval, latent: x, denoised };
  }
  return x;
};
