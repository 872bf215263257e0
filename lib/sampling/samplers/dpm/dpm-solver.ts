/**
 * Single steps of DPM-Solver (Lu et al. 2022, arXiv:2206.00927, Algorithms 1 to 3 and appendix D) in t = -log(sigma),
 * where the first-order step equals DDIM's. Results are returned as unevaluated terms, because dpm_adaptive compares
 * two of them with more precision than f32 latents have. Reference: k-diffusion `DPMSolver`.
 */

import type { Denoise, Latent } from '../../types.js';
import { combine, slope, type Terms } from '../../vector.js';
import { ancestralStep } from '../steps.js';

/** Start of a step from time t to tNext: the latent x and the noise eps predicted for it. */
export interface Start {
  readonly x: Latent;
  readonly eps: Latent;
  readonly t: number;
  readonly tNext: number;
}

export const sigmaOf = (t: number): number => Math.exp(-t);
export const timeOf = (sigma: number): number => -Math.log(sigma);

/** Returns a DPM-Solver-1 step to time s. */
export function firstOrder({ x, eps, t, tNext }: Start, s = tNext): Terms {
  return [
    [1, x],
    [-sigmaOf(s) * Math.expm1(s - t), eps],
  ];
}

/** Returns a DPM-Solver-2 step from the noise predicted at t and at t + r h (`predictAt` with the same r). */
export function secondOrder(start: Start, epsAtR: Latent, r: number): Terms {
  const change = (sigmaOf(start.tNext) * Math.expm1(start.tNext - start.t)) / (2 * r);
  return [...firstOrder(start), [change, start.eps], [-change, epsAtR]];
}

/** Returns a DPM-Solver-3 step from the noise predicted at t and at t + 2h/3 (`predictAtTwoThirds`). */
export function thirdOrder(start: Start, epsAtTwoThirds: Latent): Terms {
  const h = start.tNext - start.t;
  const change = sigmaOf(start.tNext) * (3 / 2) * (Math.expm1(h) / h - 1);
  return [...firstOrder(start), [change, start.eps], [-change, epsAtTwoThirds]];
}

/** Predicts the noise at t + r h, reached by a first-order step. */
export function predictAt(denoise: Denoise, start: Start, r: number): Promise<Latent> {
  const s = start.t + r * (start.tNext - start.t);
  return predictNoise(denoise, combine(...firstOrder(start, s)), s);
}

/** Predicts the noise at t + 2h/3, reached by a second-order step with the noise predicted at t + h/3. */
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

/**
 * Splits a step to tNext for eta > 0 into a deterministic step to `target`, at most `end`, and noise of standard
 * deviation `up`.
 */
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
 * Returns the time range of a schedule. The solvers choose their own steps within it and cannot reach sigma 0, so the
 * range ends at the last positive sigma, as in A1111.
 */
export function timeSpan(sigmas: readonly number[]): { start: number; end: number } {
  const positive = sigmas.filter((sigma) => sigma > 0);
  return { start: timeOf(positive[0]!), end: timeOf(positive[positive.length - 1]!) };
}
