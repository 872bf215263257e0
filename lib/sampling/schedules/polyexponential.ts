import { linspace } from './linspace.js';
import type { Schedule } from './types.js';

const f32 = Math.fround;

/** A polynomial of degree rho (default 1) in log sigma (k-diffusion's `get_sigmas_polyexponential`), then 0. */
export const polyexponential: Schedule = (n, { sigmaMin, sigmaMax, rho = 1 }) => {
  const [low, high] = [Math.log(sigmaMin), Math.log(sigmaMax)];
  const logSigma = (at: number) => f32(f32(f32(at ** rho) * f32(high - low)) + f32(low));
  return [...linspace(1, 0, n).map((at) => f32(Math.exp(logSigma(at)))), 0];
};
