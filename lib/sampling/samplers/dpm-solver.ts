/**
 * Single steps of DPM-Solver (Lu et al. 2022, arXiv:2206.00927, Algorithms 1 to 3 and appendix D) in t = -log(sigma), where
 * the first-order step is DDIM's. Reference: k-diffusion `DPMSolver`.
 */

import type { Denoise, Latent } from '../types.js';
import { combine, slope } from '../vector.js';
import { ancestralStep } from './steps.js';

/** A step from time t to tNext at x, where the network predicted the noise eps. */
export interface Start {
  readonly x: Latent;
  readonly eps: Latent;
  readonly t: number;
  readonly tNext: number;
}

export const sigmaOf = (t: number): number => Math.exp(-t);
export const timeOf = (sigma: number): number => -Math.log(sigma);

/** DPM-Solver-1, to time s (or tNext). */
export function firstOrder({ x, eps, t, tNext }: Start, s = tNext): Latent {
  return combine([1, x], [-sigmaOf(s) * Math.expm1(s - t), eps]);
}

/** DPM-Solver-2 from the noise predicted at t and, by `predictAt` the same r, at t + r h. */
export function secondOrder({ x, eps, t, tNext }: Start, epsAtR: Latent, r: number): Latent {
  const whole = sigmaOf(tNext) * Math.expm1(tNext - t);
  const change = whole / (2 * r);
  return combine([1, x], [change - whole, eps], [-change, epsAtR]);
}

/** DPM-Solver-3 from the noise predicted at t and at t + h/3; it calls the network once more, at t + 2h/3. */
export async function thirdOrder(denoise: Denoise, start: Start, epsAtThird: Latent): Promise<Latent> {
  const { t, tNext, eps } = start;
  const h = tNext - t;
  const s = t + (2 / 3) * h;
  const curve = sigmaOf(s) * 2 * (Math.expm1((2 / 3) * h) / ((2 / 3) * h) - 1);
  const x = combine([1, firstOrder(start, s)], [-curve, epsAtThird], [curve, eps]);
  const epsAtTwoThirds = slope(x, sigmaOf(s), await denoise(x, sigmaOf(s)));
  const change = sigmaOf(tNext) * (3 / 2) * (Math.expm1(h) / h - 1);
  return combine([1, firstOrder(start)], [-change, epsAtTwoThirds], [change, eps]);
}

/** The noise that the network predicts at t + r h, reached by a first-order step. */
export async function predictAt(denoise: Denoise, start: Start, r: number): Promise<Latent> {
  const s = start.t + r * (start.tNext - start.t);
  const x = firstOrder(start, s);
  return slope(x, sigmaOf(s), await denoise(x, sigmaOf(s)));
}

/** Where a step to tNext goes and the noise added there for eta > 0; never past `end`. */
export function ancestralTime(
  t: number,
  tNext: number,
  end: number,
  eta: number,
): { target: number; up: number } {
  if (eta === 0) return { target: tNext, up: 0 };
  const target = Math.min(end, timeOf(ancestralStep(sigmaOf(t), sigmaOf(tNext), eta).down));
  return { target, up: Math.sqrt(Math.max(0, sigmaOf(tNext) ** 2 - sigmaOf(target) ** 2)) };
}

/**
 * The span of a schedule in t. These solvers choose their own steps between its ends and cannot reach sigma 0, so they stop
 * at the last positive sigma, as A1111 has them do.
 */
export function timeSpan(sigmas: readonly number[]): { start: number; end: number } {
  const positive = sigmas.filter((sigma) => sigma > 0);
  return { start: timeOf(positive[0]!), end: timeOf(positive[positive.length - 1]!) };
}
