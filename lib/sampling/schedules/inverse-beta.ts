/** More than needed to converge: at x = 1/2 each term is at most half of the previous one. */
const TERMS = 200;
const STEPS = 50;

/**
 * Quantile of the beta distribution (`stats.beta.ppf` in SciPy): the x in [0, 1] with I_x(a, b) = p, for p in [0, 1]
 * and a, b > 0. Accurate to about 1e-15.
 */
export function inverseBeta(p: number, a: number, b: number): number {
  const lower = incompleteBeta(0.5, a, b);
  const total = lower + incompleteBeta(0.5, b, a);
  return p * total <= lower ? invertLower(p * total, a, b) : 1 - invertLower((1 - p) * total, b, a);
}

/** B_x(a, b) for x in [0, 1/2]: x^a times the sum over k of (1 - b)_k x^k / (k! (a + k)) (DLMF 8.17.7). */
function incompleteBeta(x: number, a: number, b: number): number {
  let coefficient = 1;
  let sum = 1 / a;
  for (let k = 1; k < TERMS; k++) {
    coefficient *= ((k - b) / k) * x;
    const next = sum + coefficient / (a + k);
    if (next === sum) break;
    sum = next;
  }
  return x ** a * sum;
}

/** The x in [0, 1/2] with B_x(a, b) = area, by Newton's method in u = x^a, where B is smooth and almost linear. */
function invertLower(area: number, a: number, b: number): number {
  let u = Math.min(a * area, 0.5 ** a);
  for (let i = 0; i < STEPS; i++) {
    const x = Math.min(u ** (1 / a), 0.5);
    const slope = (1 - x) ** (b - 1) / a;
    const next = u - (incompleteBeta(x, a, b) - area) / slope;
    if (Math.abs(next - u) <= 1e-16 * u) break;
    u = Math.max(next, 0);
  }
  return Math.min(u ** (1 / a), 0.5);
}
