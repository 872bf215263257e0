import type { Latent, Sampler } from '../../types.js';
import { combine, eulerStep } from '../../vector.js';
import { ancestralStep, brownianOver, intervals } from '../steps.js';

/**
 * Stochastic single-step second-order DPM-Solver++ (Lu et al. 2022, arXiv:2211.01095), noise from a Brownian path.
 * Reference: k-diffusion `sample_dpmpp_sde` (r = 1/2).
 */
export const dpmppSde: Sampler = async function* (denoise, latent, sigmas, noise, options = {}) {
  const { eta = 1, sNoise = 1 } = options;
  const brownian = brownianOver(sigmas, noise);
  let x = latent;
  for (const interval of intervals(sigmas)) {
    const { sigma, sigmaNext } = interval;
    const denoised = await denoise(x, sigma);
    if (sigmaNext === 0) {
      x = eulerStep(x, denoised, sigma, 0);
    } else {
      const times = noiseTimes(sigma, sigmaNext);
      const goTo = async (target: number, x0: Latent, noiseTime: number) => {
        const { down, up } = ancestralStep(sigma, target, eta);
        const mean = eulerStep(x, x0, sigma, down);
        return eta === 0 ? mean : combine([1, mean], [sNoise * up, await brownian(times.from, noiseTime)]);
      };
      const sigmaMid = Math.sqrt(sigma * sigmaNext);
      const mid = await goTo(sigmaMid, denoised, times.mid);
      x = await goTo(sigmaNext, await denoise(mid, sigmaMid), times.to);
    }
    yield { ...interval, latent: x, denoised };
  }
  return x;
};

/**
 * The sigmas at which the reference asks its Brownian tree: through t = -log(sigma) and back, every operation rounded to
 * f32. That moves them by a unit in the last place, and the tree's answer with them.
 */
function noiseTimes(sigma: number, sigmaNext: number): { from: number; mid: number; to: number } {
  const f32 = Math.fround;
  const [t, tNext] = [f32(-Math.log(f32(sigma))), f32(-Math.log(f32(sigmaNext)))];
  const tMid = f32(t + f32(f32(tNext - t) * 0.5));
  return { from: f32(Math.exp(-t)), mid: f32(Math.exp(-tMid)), to: f32(Math.exp(-tNext)) };
}
