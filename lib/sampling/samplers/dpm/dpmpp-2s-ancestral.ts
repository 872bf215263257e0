import { type NoiseSchedule, noiseRatio, sigmaOfRatio, withFiniteRatios } from '../../noise-schedule.js';
import type { Sampler } from '../../types.js';
import { combine, eulerStep } from '../../vector.js';
import { intervals, renoisedStep } from '../steps.js';

/**
 * Ancestral sampling with single-step second-order DPM-Solver++ steps (Lu et al. 2022, arXiv:2211.01095). Reference:
 * k-diffusion `sample_dpmpp_2s_ancestral`; for flow matching ComfyUI `sample_dpmpp_2s_ancestral_RF`, except for the
 * first midpoint.
 */
export function dpmpp2sAncestral(schedule: NoiseSchedule): Sampler {
  return async function* (denoise, latent, sigmas, noise, options = {}) {
    const { eta = 1, sNoise = 1 } = options;
    let x = latent;
    for (const interval of intervals(withFiniteRatios(schedule, sigmas))) {
      const { sigma, sigmaNext } = interval;
      const denoised = await denoise(x, sigma);
      const { down, scale, up } = renoisedStep(schedule, sigma, sigmaNext, eta);
      if (down === 0) {
        x = eulerStep(x, denoised, sigma, 0);
      } else {
        // In terms of x0, the paper's exponential integrator is a straight line from sigma to down.
        const ratioMid = Math.sqrt(noiseRatio(schedule, sigma) * noiseRatio(schedule, down));
        const sigmaMid = sigmaOfRatio(schedule, ratioMid);
        const mid = eulerStep(x, denoised, sigma, sigmaMid);
        x = eulerStep(x, await denoise(mid, sigmaMid), sigma, down);
      }
      if (sigmaNext > 0 && eta !== 0) x = combine([scale, x], [sNoise * up, noise.next()]);
      yield { ...interval, latent: x, denoised };
    }
    return x;
  };
}
