import { type NoiseSchedule, noiseRatio, withFiniteRatios } from '../../noise-schedule.js';
import type { Latent, Sampler } from '../../types.js';
import { combine, type Term } from '../../vector.js';
import { brownianOver, intervals } from '../steps.js';

/**
 * Second-order multistep DPM-Solver++ for the diffusion SDE (Lu et al. 2022, arXiv:2211.01095), corrected at the
 * midpoint. Reference: k-diffusion `sample_dpmpp_2m_sde`, solver_type `midpoint`; for flow matching ComfyUI
 * `sample_dpmpp_2m_sde`.
 */
export const dpmpp2mSde = (schedule: NoiseSchedule): Sampler => create(schedule, 'midpoint');

/** `dpmpp2mSde` with Heun's correction. Reference: k-diffusion `sample_dpmpp_2m_sde`, solver_type `heun`. */
export const dpmpp2mSdeHeun = (schedule: NoiseSchedule): Sampler => create(schedule, 'heun');

function create(schedule: NoiseSchedule, solverType: 'midpoint' | 'heun'): Sampler {
  return async function* (denoise, latent, sigmas, noise, options = {}) {
    const { eta = 1, sNoise = 1 } = options;
    const brownian = brownianOver(sigmas, noise);
    let x = latent;
    let last: { denoised: Latent; h: number } | undefined;
    for (const interval of intervals(withFiniteRatios(schedule, sigmas))) {
      const { sigma, sigmaNext } = interval;
      const denoised = await denoise(x, sigma);
      const h = Math.log(noiseRatio(schedule, sigma) / noiseRatio(schedule, sigmaNext)); // Infinity for sigmaNext 0
      if (sigmaNext === 0) {
        x = denoised.slice();
      } else {
        const total = h + eta * h;
        const gained = -Math.expm1(-total); // fraction of x that is replaced by x0
        const correction = solverType === 'heun' ? 1 - gained / total : gained / 2;
        const alpha = schedule.alpha(sigmaNext);
        const terms: Term[] = [[alpha * gained, denoised]];
        if (last !== undefined) {
          const weight = (alpha * correction * h) / last.h;
          terms.push([weight, denoised], [-weight, last.denoised]);
        }
        if (eta !== 0) {
          terms.push([
            sNoise * sigmaNext * Math.sqrt(-Math.expm1(-2 * eta * h)),
            await brownian(sigma, sigmaNext),
          ]);
        }
        x = combine([(sigmaNext / sigma) * Math.exp(-eta * h), x], ...terms);
      }
      last = { denoised, h };
      yield { ...interval, latent: x, denoised };
    }
    return x;
  };
}
