import { type NoiseSchedule, noiseRatio, withFiniteRatios } from '../../noise-schedule.js';
import type { Latent, Sampler } from '../../types.js';
import { combine, type Term } from '../../vector.js';
import { brownianOver, intervals } from '../steps.js';

/**
 * Third-order multistep DPM-Solver++ for the diffusion SDE, in exponential integrator form.
 * Reference: k-diffusion `sample_dpmpp_3m_sde`; for flow matching ComfyUI `sample_dpmpp_3m_sde`.
 */
export function dpmpp3mSde(schedule: NoiseSchedule): Sampler {
  return async function* (denoise, latent, sigmas, noise, options = {}) {
    const { eta = 1, sNoise = 1 } = options;
    const brownian = brownianOver(sigmas, noise);
    let x = latent;
    let past: { denoised: Latent; h: number }[] = []; // latest first
    for (const interval of intervals(withFiniteRatios(schedule, sigmas))) {
      const { sigma, sigmaNext } = interval;
      const denoised = await denoise(x, sigma);
      const h = Math.log(noiseRatio(schedule, sigma) / noiseRatio(schedule, sigmaNext));
      if (sigmaNext === 0) {
        x = denoised.slice();
      } else {
        const total = h * (eta + 1);
        const alpha = schedule.alpha(sigmaNext);
        const towards: Term[] = [[-Math.expm1(-total), denoised], ...differences(denoised, past, h, total)];
        const terms = towards.map(([weight, x0]): Term => [alpha * weight, x0]);
        if (eta !== 0) {
          terms.push([
            sNoise * sigmaNext * Math.sqrt(-Math.expm1(-2 * h * eta)),
            await brownian(sigma, sigmaNext),
          ]);
        }
        x = combine([(alpha / schedule.alpha(sigma)) * Math.exp(-total), x], ...terms);
      }
      past = [{ denoised, h }, ...past].slice(0, 2);
      yield { ...interval, latent: x, denoised };
    }
    return x;
  };
}

/** Returns phi_2 * x0' - phi_3 * x0'', with derivatives by divided differences of one or two past predictions. */
function differences(
  denoised: Latent,
  [last, before]: readonly { denoised: Latent; h: number }[],
  h: number,
  total: number,
): Term[] {
  if (last === undefined) return [];
  const phi2 = Math.expm1(-total) / total + 1;
  const r0 = last.h / h;
  if (before === undefined) {
    return [
      [phi2 / r0, denoised],
      [-phi2 / r0, last.denoised],
    ];
  }
  const phi3 = phi2 / total - 0.5;
  const r1 = before.h / h;
  // With a = (x0 - x0_1) / r0 and b = (x0_1 - x0_2) / r1: x0' = a + (a - b) r0 / (r0 + r1), x0'' = (a - b) / (r0 + r1)
  const curve = (phi2 * r0 - phi3) / (r0 + r1);
  const [a, b] = [(phi2 + curve) / r0, -curve / r1];
  return [
    [a, denoised],
    [b - a, last.denoised],
    [-b, before.denoised],
  ];
}
