import type { Schedule } from './types.js';

const f32 = Math.fround;

/**
 * Evenly spaced in arctan sigma: n + 1 points, of which the last is sigmaMin instead of 0 (Sabour et al. 2024,
 * arXiv:2404.14507, theorem 3.1). Uses A1111's f32 arithmetic, because the tangent amplifies rounding near a right
 * angle.
 */
export const klOptimal: Schedule = (n, { sigmaMin, sigmaMax }) => {
  const [low, high] = [f32(Math.atan(f32(sigmaMin))), f32(Math.atan(f32(sigmaMax)))];
  return Array.from({ length: n + 1 }, (_, i) => {
    const at = f32(i / n);
    return f32(Math.tan(f32(f32(at * low) + f32(f32(1 - at) * high))));
  });
};
