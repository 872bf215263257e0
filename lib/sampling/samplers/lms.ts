import type { Latent, Sampler } from '../types.js';
import { combine, type Term } from '../vector.js';
import { intervals } from './steps.js';

const ORDER = 4;

/**
 * Linear multistep method: integrates the polynomial through the last four slopes (Adams-Bashforth with uneven steps).
 * Reference: k-diffusion `sample_lms`.
 */
export const lms: Sampler = async function* (denoise, latent, sigmas) {
  let x = latent;
  let history: { x: Latent; sigma: number; denoised: Latent }[] = [];
  for (const interval of intervals(sigmas)) {
    const { sigma, sigmaNext } = interval;
    const denoised = await denoise(x, sigma);
    history = [...history, { x, sigma, denoised }].slice(-ORDER);
    const nodes = history.map((past) => past.sigma);
    // Slope (x - x0) / sigma of each past step times its weight.
    const terms = history.flatMap((past, j): Term[] => {
      const weight = integratedBasis(nodes, j, sigma, sigmaNext) / past.sigma;
      return [
        [weight, past.x],
        [-weight, past.denoised],
      ];
    });
    x = combine([1, x], ...terms);
    yield { ...interval, latent: x, denoised };
  }
  return x;
};

/**
 * Integral over [from, to] of the Lagrange polynomial that is 1 at nodes[j] and 0 at the other nodes. Two
 * Gauss-Legendre points are exact for a cubic; k-diffusion uses `scipy.integrate.quad`.
 */
export function integratedBasis(nodes: readonly number[], j: number, from: number, to: number): number {
  const basis = (tau: number) =>
    nodes.reduce((value, node, k) => (k === j ? value : (value * (tau - node)) / (nodes[j]! - node)), 1);
  const [middle, half] = [(from + to) / 2, (to - from) / 2];
  const offset = half / Math.sqrt(3);
  return half * (basis(middle - offset) + basis(middle + offset));
}
