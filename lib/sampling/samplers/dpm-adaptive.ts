import { SafelightError } from '../../errors.js';
import type { Latent, Sampler } from '../types.js';
import { combine, slope, type Term } from '../vector.js';
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
import { euler } from './euler.js';

/** k-diffusion's defaults. */
const ABSOLUTE_TOLERANCE = 0.0078;
const RELATIVE_TOLERANCE = 0.05;
const FIRST_STEP = 0.05;
const ACCEPT_SAFETY = 0.81;

/**
 * DPM-Solver-23 with adaptive steps (Lu et al. 2022, arXiv:2206.00927, appendix C): a step is kept if its second- and
 * third-order results agree, and the next one is sized by how well they do. Of the schedule only its first and its last
 * positive sigma count; `steps` is an estimate until the last.
 *
 * The error is one number for the whole batch, as in the reference: pictures of a batch share their sigmas, so a picture
 * made alone may differ slightly from the same one in a batch.
 * Reference: k-diffusion `sample_dpm_adaptive` (order 3; of its PID controller only the I term, its default).
 *
 * @throws NOT_FINITE if the error stops being a number or no step is short enough: no step would ever be kept.
 */
export const dpmAdaptive: Sampler = async function* (denoise, latent, sigmas, noise, options = {}) {
  const { eta = 0, sNoise = 1 } = options;
  const { start, end } = timeSpan(sigmas);
  if (!(end > start)) return yield* euler(denoise, latent, sigmas, noise); // one step, straight to 0
  const errorOrder = eta === 0 ? 3 : 1.5;
  let x = latent;
  let previousLow = latent;
  let h = FIRST_STEP;
  for (let t = start, step = 0; t < end - 1e-5; step++) {
    const denoised = await denoise(x, sigmaOf(t));
    const eps = slope(x, sigmaOf(t), denoised);
    for (;;) {
      const tNext = Math.min(end, t + h);
      if (!(tNext > t)) throw notFinite(sigmaOf(t));
      const { target, up } = ancestralTime(t, tNext, end, eta);
      const from: Start = { x, eps, t, tNext: target };
      const epsAtThird = await predictAt(denoise, from, 1 / 3);
      const lowTerms = secondOrder(from, epsAtThird, 1 / 3);
      const highTerms = thirdOrder(from, await predictAtTwoThirds(denoise, from, epsAtThird));
      const low = combine(...lowTerms);
      const difference = combine(...highTerms, ...lowTerms.map(([a, latent]): Term => [-a, latent]));
      const factor = stepFactor(errorOf(difference, low, previousLow), errorOrder);
      h *= factor;
      if (!(factor >= ACCEPT_SAFETY)) continue;
      previousLow = low;
      x = combine(...highTerms, ...(eta === 0 ? [] : [[sNoise * up, noise.next()] as const]));
      const steps = Math.max(step + 1, Math.ceil(((step + 1) * (end - start)) / (tNext - start)));
      yield { step, steps, sigma: sigmaOf(t), sigmaNext: sigmaOf(tNext), latent: x, denoised };
      t = tNext;
      break;
    }
  }
  return x;
};

/** Root mean square of the difference, in units of the tolerance. */
function errorOf(difference: Latent, low: Latent, previousLow: Latent): number {
  let sum = 0;
  for (let i = 0; i < low.length; i++) {
    const scale = Math.max(Math.abs(low[i]!), Math.abs(previousLow[i]!));
    sum += (difference[i]! / Math.max(ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE * scale)) ** 2;
  }
  return Math.sqrt(sum / low.length);
}

/** How much longer the next step may be; softly limited to about 0.2 to 2.6. */
function stepFactor(error: number, order: number): number {
  return 1 + Math.atan((1 / (error + 1e-8)) ** (1 / order) - 1);
}

function notFinite(sigma: number): SafelightError {
  return new SafelightError(
    'NOT_FINITE',
    `DPM adaptive found no step short enough at sigma ${sigma}: the model's predictions there are not finite or change at random`,
  );
}
