import { isFlow, type NoiseSchedule, noiseRatio, withFiniteRatios } from '../noise-schedule.js';
import type { Latent, Sampler } from '../types.js';
import { combine, type Term } from '../vector.js';
import { intervals } from './steps.js';
import { toVariancePreserving } from './timesteps.js';

/**
 * State of a predictor step for the corrector: predictions of x0, step length h in lambda, ratio r, and alpha at the
 * end of the step.
 */
interface Predicted {
  readonly denoised: Latent;
  readonly h: number;
  readonly alpha: number;
  readonly before?: { readonly denoised: Latent; readonly r: number };
}

/**
 * UniPC of order 2 with B(h) = e^h - 1 (Zhao et al. 2023, arXiv:2302.04867): predictor steps that are corrected with
 * the next model call, so that no additional calls are needed. Order 1 in the first and the last step. Reference:
 * diffusers `UniPCMultistepScheduler` (solver_order 2, bh2, lower_order_final) with custom sigmas, also for flow
 * matching.
 */
export function unipc(schedule: NoiseSchedule): Sampler {
  return async function* (denoise, latent, sigmas) {
    let x = latent;
    let last: Predicted | undefined;
    for (const interval of intervals(withFiniteRatios(schedule, sigmas))) {
      const { step, steps, sigma, sigmaNext } = interval;
      const denoised = await denoise(x, sigma);
      if (last !== undefined) x = correct(x, denoised, last);

      const h = Math.log(noiseRatio(schedule, sigma) / noiseRatio(schedule, sigmaNext));
      const before =
        last !== undefined && step < steps - 1 ? { denoised: last.denoised, r: -last.h / h } : undefined;
      last = { denoised, h, alpha: schedule.alpha(sigmaNext), ...(before && { before }) };
      x = predict(x, sigmaNext / sigma, last);

      if (step === steps - 1 && !isFlow(schedule)) x = toVariancePreserving(x, sigmaNext);
      yield { ...interval, latent: x, denoised };
    }
    return x;
  };
}

/** UniP: x0 extrapolated by half its slope D1 = (x0_before - x0) / r. */
function predict(x: Latent, ratio: number, { denoised, h, alpha, before }: Predicted): Latent {
  const gained = -Math.expm1(-h) * alpha;
  const terms: Term[] = [[gained, denoised]];
  if (before !== undefined) {
    const weight = gained / (2 * before.r);
    terms.push([weight, before.denoised], [-weight, denoised]);
  }
  return combine([ratio, x], ...terms);
}

/**
 * UniC: corrects the last step with the prediction at its end. The correction is added to x instead of recomputing
 * the step from its start, so that modifications of the latent between steps are preserved.
 */
function correct(x: Latent, atEnd: Latent, { denoised, h, alpha, before }: Predicted): Latent {
  const phi1 = -Math.expm1(-h);
  const gained = phi1 * alpha;
  if (before === undefined) return combine([1, x], [gained / 2, atEnd], [-gained / 2, denoised]);
  // [1 1; r 1] rho = [b1, b2], b_k = k! phi_(k+1)(-h) / phi_1(-h)
  const phi2 = phi1 / h - 1;
  const [b1, b2] = [-phi2 / phi1, (2 * (phi2 / h + 1 / 2)) / phi1];
  const rho1 = (b1 - b2) / (1 - before.r);
  const rho2 = b1 - rho1;
  const weight = (gained * (rho1 - 1 / 2)) / before.r; // the predictor used 1/2
  return combine(
    [1, x],
    [weight, before.denoised],
    [-weight - gained * rho2, denoised],
    [gained * rho2, atEnd],
  );
}
