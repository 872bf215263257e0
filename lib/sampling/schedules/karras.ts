import { linspace } from './linspace.js';
import type { Schedule } from './types.js';

const f32 = Math.fround;

/** Evenly spaced in sigma^(1 / rho), rho 7 by default (Karras et al. 2022, arXiv:2206.00364, equation 5), then 0. */
export const karras: Schedule = (n, { sigmaMin, sigmaMax, rho = 7 }) => {
  const [low, high] = [sigmaMin ** (1 / rho), sigmaMax ** (1 / rho)];
  return [...linspace(0, 1, n).map((at) => f32(f32(f32(high) + f32(at * f32(low - high))) ** rho)), 0];
};
