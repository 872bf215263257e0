/**
 * Arithmetic on latents, so that samplers read like their formulas. Sums are computed in double precision and rounded
 * to f32 once. Arguments are never modified, so latents of yielded steps stay valid.
 */
import type { Latent } from './types.js';

/** A latent and its coefficient. */
export type Term = readonly [coefficient: number, latent: Latent];

/** An unevaluated linear combination; evaluating it late avoids intermediate rounding. */
export type Terms = readonly [Term, ...Term[]];

/**
 * Returns the linear combination `a * x + b * y + ...` as a new array: `combine([a, x], [b, y])`.
 * Skips latents whose coefficient is 0, so that NaN or infinity in them has no effect.
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

/** Returns the slope dx/dsigma = (x - x0) / sigma of the probability flow, which equals the predicted noise eps. */
export function slope(x: Latent, sigma: number, denoised: Latent): Latent {
  return combine([1 / sigma, x], [-1 / sigma, denoised]);
}

/** Returns an Euler step from `sigma` to `sigmaNext`: x + (x - x0) / sigma * (sigmaNext - sigma). */
export function eulerStep(x: Latent, denoised: Latent, sigma: number, sigmaNext: number): Latent {
  const ratio = sigmaNext / sigma;
  return combine([ratio, x], [1 - ratio, denoised]);
}
