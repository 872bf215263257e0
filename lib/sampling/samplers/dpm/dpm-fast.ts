import type { Denoise, Sampler } from '../../types.js';
import { combine, slope, type Terms } from '../../vector.js';
import { euler } from '../euler.js';
import {
  ancestralTime,
  firstOrder,
  predictAt,
  predictAtTwoThirds,
  type Start,
  secondOrder,
  sigmaOf,
  thirdOrder,
  timeSpan,
} from './dpm-solver.js';

/**
 * DPM-Solver-fast (Lu et al. 2022, arXiv:2206.00927, section 3.4): as many model calls as the schedule has steps,
 * used for third-order steps that are evenly spaced in log sigma between the schedule's first and last positive
 * sigma, where it stops. Reference: k-diffusion `sample_dpm_fast`.
 */
export const dpmFast: Sampler = async function* (denoise, latent, sigmas, noise, options = {}) {
  const { eta = 0, sNoise = 1 } = options;
  const { start, end } = timeSpan(sigmas);
  if (!(end > start)) return yield* euler(denoise, latent, sigmas, noise); // a single step to 0
  const orders = ordersFor(sigmas.length - 1);
  const times = [...orders.map((_, i) => start + ((end - start) * i) / orders.length), end];
  let x = latent;
  for (const [step, order] of orders.entries()) {
    const [t, tNext] = [times[step]!, times[step + 1]!];
    const [sigma, sigmaNext] = [sigmaOf(t), sigmaOf(tNext)];
    const denoised = await denoise(x, sigma);
    const { target, up } = ancestralTime(t, tNext, end, eta);
    const from: Start = { x, eps: slope(x, sigma, denoised), t, tNext: target };
    x = combine(...(await stepOfOrder(denoise, from, order)));
    if (eta !== 0) x = combine([1, x], [sNoise * up, noise.next()]);
    yield { step, steps: orders.length, sigma, sigmaNext, latent: x, denoised };
  }
  return x;
};

async function stepOfOrder(denoise: Denoise, start: Start, order: 1 | 2 | 3): Promise<Terms> {
  if (order === 1) return firstOrder(start);
  if (order === 2) return secondOrder(start, await predictAt(denoise, start, 1 / 2), 1 / 2);
  const epsAtThird = await predictAt(denoise, start, 1 / 3);
  return thirdOrder(start, await predictAtTwoThirds(denoise, start, epsAtThird));
}

/** Returns the orders of the steps; their sum, the number of model calls, is n. */
function ordersFor(n: number): (1 | 2 | 3)[] {
  const thirds = Math.floor(n / 3);
  const rest = n % 3;
  if (rest === 0) return [...Array<3>(thirds - 1).fill(3), 2, 1];
  return [...Array<3>(thirds).fill(3), rest as 1 | 2];
}
