import { invalidOption } from '../errors.js';

/** Beyond any codebook. */
const MOST_CODES = 2 ** 24;

/** How a picture uses a codebook. */
export interface CodeUsage {
  /** Different codes that occur. */
  readonly used: number;
  /** Codes there are. */
  readonly of: number;
  /**
   * e to the entropy of how often each occurs, from 1 (always the same) to `of` (all alike): taming's `perplexity`, exp(-sum p log(p + 1e-10)).
   */
  readonly perplexity: number;
  /** How often each occurs. */
  readonly counts: Int32Array;
}

/** @param indices from 0 to `codes` - 1 */
export function codeUsage(indices: Int32Array, codes: number): CodeUsage {
  if (!Number.isSafeInteger(codes) || codes < 1 || codes > MOST_CODES)
    throw invalidOption('codes', `integer between 1 and ${MOST_CODES}`, codes);
  if (!(indices instanceof Int32Array)) throw invalidOption('indices', 'Int32Array', indices);
  const counts = new Int32Array(codes);
  for (const index of indices) {
    if (index < 0 || index >= codes)
      throw invalidOption('indices', `integers between 0 and ${codes - 1}`, index);
    counts[index]! += 1;
  }
  let entropy = 0;
  let used = 0;
  for (const count of counts) {
    const p = count / indices.length;
    entropy -= p * Math.log(p + 1e-10);
    if (count > 0) used++;
  }
  return { used, of: codes, perplexity: Math.exp(entropy), counts };
}
