import { SafelightError } from '../../../errors.js';
import type { Denoise, Latent, Sampler } from '../../types.js';
import { combine, slope, type Term, type Terms } from '../../vector.js';
import { euler } from '../euler.js';
import {
  ancestralTime,
  predictAt,
  predictAtTwoThirds,
  type Start,
  secondOrder,
  sigmaOf,
  thirdOrder,
  timeSpan,
} from './dpm-solver.js';

/** k-diffusion's defaults. */
const ABSOLUTE_TOLERANCE = 0.0078;
const RELATIVE_TOLERANCE = 0.05;
const FIRST_STEP = 0.05;
const ACCEPT_SAFETY = 0.81;

/**
 * DPM-Solver-23 with adaptive steps (Lu et al. 2022, arXiv:2206.00927, appendix C): a step is accepted if its second-
 * and third-order results agree, and their difference determines the size of the next one. Only the first and the
 * last positive sigma of the schedule matter; `steps` is an estimate until the last step.
 *
 * As in the reference, the error is computed over the batch, so images of a batch share their sigmas and depend on
 * each other. Pipelines therefore use batches of one (`maxBatch`). Reference: k-diffusion `sample_dpm_adaptive`
 * (order 3; of its PID controller only the I term, its default).
 *
 * The sampler throws NOT_FINITE if the error is not finite or no step is small enough to be accepted.
 */
export const dpmAdaptive: Sampler = async function* (denoise, latent, sigmas, noise, options = {}) {
  const { eta = 0, sNoise = 1 } = options;
  const { start, end } = timeSpan(sigmas);
  if (!(end > start)) return yield* euler(denoise, latent, sigmas, noise); // a single step to 0
  const errorOrder = eta === 0 ? 3 : 1.5;
  const last = end - 1e-5;
  let x = latent;
  let previousLow = latent;
  let h = FIRST_STEP;
  for (let t = start, step = 0; t < last; step++) {
    const denoised = await denoise(x, sigmaOf(t));
    const eps = slope(x, sigmaOf(t), denoised);
    for (;;) {
      const tNext = Math.min(end, t + h);
      if (!(tNext > t)) throw notFinite(sigmaOf(t));
      const { target, up } = ancestralTime(t, tNext, end, eta);
      const from: Start = { x, eps, t, tNext: target };
      const { low, high, factor } = await attempt(denoise, from, previousLow, errorOrder);
      h *= factor;
      if (!(factor >= ACCEPT_SAFETY)) continue;
      previousLow = low;
      x = combine(...high, ...(eta === 0 ? [] : [[sNoise * up, noise.next()] as const]));
      const steps = tNext < last ? Math.ceil(((step + 1) * (end - start)) / (tNext - start)) : step + 1;
      yield { step, steps, sigma: sigmaOf(t), sigmaNext: sigmaOf(tNext), latent: x, denoised };
      t = tNext;
      break;
    }
  }
  return x;
};

/** Computes a step at both orders and the factor of the next step size, softly limited to about 0.2 to 2.6. */
async function attempt(
  denoise: Denoise,
  step: Start,
  previousLow: Latent,
  errorOrder: number,
): Promise<{ low: Latent; high: Terms; factor: number }> {
  const epsAtThird = await predictAt(denoise, step, 1 / 3);
  const lowTerms = secondOrder(step, epsAtThird, 1 / 3);
  const high = thirdOrder(step, await predictAtTwoThirds(denoise, step, epsAtThird));
  const low = combine(...lowTerms);
  const difference = combine(...high, ...lowTerms.map(([a, latent]): Term => [-a, latent]));
  const error = errorOf(difference, low, previousLow);
  return { low, high, factor: 1 + Math.atan((1 / (error + 1e-8)) ** (1 / errorOrder) - 1) };
}

/** Returns the root mean square of the difference, in units of the tolerance. */
function errorOf(difference: Latent, low: Latent, previousLow: Latent): number {
  let sum = 0;
  for (let i = 0; i < low.length; i++) {
    const scale = Math.max(Math.abs(low[i]!), Math.abs(previousLow[i]!));
    sum += (difference[i]! / Math.max(ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE * scale)) ** 2;
  }
  return Math.sqrt(sum / low.length);
}

function notFinite(sigma: number): SafelightError {
  return new SafelightError(
    'NOT_FINITE',
    `DPM adaptive found no acceptable step size at sigma ${sigma}; the model's predictions are not finite or vary randomly`,
  );
}
