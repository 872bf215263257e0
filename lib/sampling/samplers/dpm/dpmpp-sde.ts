import {
  isFlow,
  type NoiseSchedule,
  noiseRatio,
  sigmaOfRatio,
  withFiniteRatios,
} from '../../noise-schedule.js';
import type { Latent, Sampler } from '../../types.js';
import { combine, eulerStep } from '../../vector.js';
import { ancestralStep, brownianOver, intervals } from '../steps.js';

/**
 * Stochastic single-step second-order DPM-Solver++ (Lu et al. 2022, arXiv:2211.01095) with noise from a Brownian path.
 * Reference: k-diffusion `sample_dpmpp_sde` (r = 1/2); for flow matching ComfyUI `sample_dpmpp_sde`.
 */
export function dpmppSde(schedule: NoiseSchedule): Sampler {
  return async function* (denoise, latent, sigmas, noise, options = {}) {
    const { eta = 1, sNoise = 1 } = options;
    const brownian = brownianOver(sigmas, noise);
    let x = latent;
    for (const interval of intervals(withFiniteRatios(schedule, sigmas))) {
      const { sigma, sigmaNext } = interval;
      const denoised = await denoise(x, sigma);
      if (sigmaNext === 0) {
        x = eulerStep(x, denoised, sigma, 0);
      } else {
        const ratio = noiseRatio(schedule, sigma);
        const ratioMid = Math.sqrt(ratio * noiseRatio(schedule, sigmaNext));
        const sigmaMid = sigmaOfRatio(schedule, ratioMid);
        const times = isFlow(schedule)
          ? { from: sigma, mid: sigmaMid, to: sigmaNext }
          : noiseTimes(sigma, sigmaNext);
        const goTo = async (target: number, x0: Latent, noiseTime: number) => {
          const alpha = schedule.alpha(target);
          const { down, up } = ancestralStep(ratio, noiseRatio(schedule, target), eta);
          const remaining = down / ratio;
          const mean = combine(
            [(alpha / schedule.alpha(sigma)) * remaining, x],
            [alpha * (1 - remaining), x0],
          );
          if (eta === 0) return mean;
          return combine([1, mean], [sNoise * alpha * up, await brownian(times.from, noiseTime)]);
        };
        const mid = await goTo(sigmaMid, denoised, times.mid);
        x = await goTo(sigmaNext, await denoise(mid, sigmaMid), times.to);
      }
      yield { ...interval, latent: x, denoised };
    }
    return x;
  };
}

/**
 * Returns the sigmas at which the reference queries its Brownian tree, converted to t = -log(sigma) and back with
 * every operation rounded to f32. This changes them by a unit in the last place, and with them the noise.
 */
function noiseTimes(sigma: number, sigmaNext: number): { from: number; mid: number; to: number } {
  const f32 = Math.fround;
  const [t, tNext] = [f32(-Math.log(f32(sigma))), f32(-Math.log(f32(sigmaNext)))];
  const tMid = f32(t + f32(f32(tNext - t) * 0.5));
  return { from: f32(Math.exp(-t)), mid: f32(Math.exp(-tMid)), to: f32(Math.exp(-tNext)) };
}
