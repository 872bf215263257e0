/**
 * Single steps of DPM-Solver (Lu et al. 2022, arXiv:2206.00927, Algorithms 1 to 3 and appendix D) in t = -log(sigma), where
 * the first-order step is DDIM's. Results are given as terms to combine, because two of them are compared at a precision
 * that f32 latents do not have. Reference: k-diffusion `DPMSolver`.
 */

import type { Denoise, Latent } from '../../types.js';
import { combine, slope, type Terms } from '../../vector.js';
import { ancestralStep } from '../steps.js';

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
export function firstOrder({ x, eps, t, tNext }: Start, s = tNext): Terms {
  return [
    [1, x],
    [-sigmaOf(s) * Math.expm1(s - t), eps],
  ];
}

/** DPM-Solver-2 from the noise predicted at t and, by `predictAt` the same r, at t + r h. */
export function secondOrder(start: Start, epsAtR: Latent, r: number): Terms {
  const change = (sigmaOf(start.tNext) * Math.expm1(start.tNext - start.t)) / (2 * r);
  return [...firstOrder(start), [change, start.eps], [-change, epsAtR]];
}

/** DPM-Solver-3 from the noise predicted at t and, by `predictAtTwoThirds`, at t + 2h/3. */
export function thirdOrder(start: Start, epsAtTwoThirds: Latent): Terms {
  const h = start.tNext - start.t;
  const change = sigmaOf(start.tNext) * (3 / 2) * (Math.expm1(h) / h - 1);
  return [...firstOrder(start), [change, start.eps], [-change, epsAtTwoThirds]];
}

/** The noise that the network predicts at t + r h, reached by a first-order step. */
export function predictAt(denoise: Denoise, start: Start, r: number): Promise<Latent> {
  const s = start.t + r * (start.tNext - start.t);
  return predictNoise(denoise, combine(...firstOrder(start, s)), s);
}

/** The noise that the network predicts at t + 2h/3, reached with the help of the one at t + h/3. */
export function predictAtTwoThirds(denoise: Denoise, start: Start, epsAtThird: Latent): Promise<Latent> {
  const part = (2 / 3) * (start.tNext - start.t);
  const s = start.t + part;
  const change = sigmaOf(s) * 2 * (Math.expm1(part) / part - 1);
  const x = combine(...firstOrder(start, s), [change, start.eps], [-change, epsAtThird]);
  return predictNoise(denoise, x, s);
}

async function predictNoise(denoise: Denoise, x: Latent, t: number): Promise<Latent> {
  return slope(x, sigmaOf(t), await denoise(x, sigmaOf(t)));
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
