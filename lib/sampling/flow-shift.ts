/** Resolution-dependent shift of flow-matching times: mu, the logarithm of the factor of a static shift. */
import { invalidOption } from '../errors.js';

/** The line through (baseTokens, baseShift) and (maxTokens, maxShift). */
export interface ShiftLine {
  readonly base_shift: number;
  readonly max_shift: number;
  readonly base_image_seq_len: number;
  readonly max_image_seq_len: number;
}

/**
 * Returns mu of an image of `tokens` packed latent positions by linear inter- and extrapolation (Flux.1, Qwen-Image).
 * Reference: diffusers `calculate_shift`.
 */
export function linearMu(tokens: number, line: ShiftLine): number {
  checkTokens(tokens);
  const slope = (line.max_shift - line.base_shift) / (line.max_image_seq_len - line.base_image_seq_len);
  return line.base_shift + (tokens - line.base_image_seq_len) * slope;
}

/**
 * Returns mu of Flux.2, fitted for 10 and 200 steps and linear in the steps; above 4300 tokens it does not depend on
 * the steps. Reference: diffusers `compute_empirical_mu`.
 */
export function flux2Mu(tokens: number, steps: number): number {
  checkTokens(tokens);
  if (!(Number.isInteger(steps) && steps >= 1)) throw invalidOption('steps', 'a positive integer', steps);
  const at200 = 0.00016927 * tokens + 0.45666666;
  if (tokens > 4300) return at200;
  const at10 = 8.73809524e-5 * tokens + 1.89833333;
  return at200 + ((at200 - at10) * (steps - 200)) / 190;
}

function checkTokens(tokens: number): void {
  if (!(Number.isInteger(tokens) && tokens >= 1)) throw invalidOption('tokens', 'a positive integer', tokens);
}
