/**
 * Arithmetic on latents, so that a sampler reads like its formula. Coefficients are doubles; every element is summed in
 * double and rounded to f32 once. Arguments are never written to: a step that was given away stays as it was.
 */
import type { Latent } from './types.js';

/** A latent and its coefficient. */
export type Term = readonly [coefficient: number, latent: Latent];

/** A linear combination that is not summed yet; summing late saves roundings. */
export type Terms = readonly [Term, ...Term[]];

/**
 * The linear combination `a * x + b * y + ...` in a new array: `combine([a, x], [b, y])`.
 * A latent whose coefficient is 0 is left out, so that what it holds cannot matter.
 */
export function combine(...terms: Terms): Latent {
  const sum = new Float32Array(terms[0][1].length);
  const [first, second, third, ...rest] = terms.filter(([coefficient]) => coefficient !== 0);
  if (first === undefined) return sum;
  if (rest.length > 0) return combineMany([first, second!, third!, ...rest], sum);
  const [a, x] = first;
  const [b, y] = second ?? [0, x];
  const [c, z] = third ?? [0, x];
  if (third !== undefined) for (let i = 0; i < sum.length; i++) sum[i] = a * x[i]! + b * y[i]! + c * z[i]!;
  else if (second !== undefined) for (let i = 0; i < sum.length; i++) sum[i] = a * x[i]! + b * y[i]!;
  else for (let i = 0; i < sum.length; i++) sum[i] = a * x[i]!;
  return sum;
}

function combineMany(terms: readonly Term[], sum: Latent): Latent {
  for (let i = 0; i < sum.length; i++) {
    let value = 0;
    for (const [coefficient, latent] of terms) value += coefficient * latent[i]!;
    sum[i] = value;
  }
  return sum;
}

/** The slope dx/dsigma = (x - x0) / sigma of the probability flow, which is also the predicted noise eps. */
export function slope(x: Latent, sigma: number, denoised: Latent): Latent {
  return combine([1 / sigma, x], [-1 / sigma, denoised]);
}

/** Follows the slope from `sigma` to `sigmaNext` in a straight line: x + (x - x0) / sigma * (sigmaNext - sigma). */
export function eulerStep(x: Latent, denoised: Latent, sigma: number, sigmaNext: number): Latent {
  const kept = sigmaNext / sigma;
  return combine([kept, x], [1 - kept, denoised]);
}
