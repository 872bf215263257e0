import { linspace } from './linspace.js';
import type { Schedule } from './types.js';

/** Evenly spaced in log sigma (k-diffusion's `get_sigmas_exponential`), then 0. */
export const exponential: Schedule = (n, { sigmaMin, sigmaMax }) => [
  ...linspace(Math.log(sigmaMax), Math.log(sigmaMin), n).map((logSigma) => Math.fround(Math.exp(logSigma))),
  0,
];
