import { inverseBeta } from './inverse-beta.js';
import type { Schedule } from './types.js';

/** A1111's defaults. */
const ALPHA = 0.6;
const BETA = 0.6;

/**
 * Quantiles of a beta distribution over sigma, dense at both ends (Lee et al. 2024, arXiv:2407.12173; A1111), then 0.
 */
export const beta: Schedule = (n, { sigmaMin, sigmaMax }) => {
  const quantiles = Array.from({ length: n }, (_, i) => inverseBeta(1 - i / Math.max(n - 1, 1), ALPHA, BETA));
  return [...quantiles.map((x) => Math.fround(sigmaMin + x * (sigmaMax - sigmaMin))), 0];
};
