import { invalidOption } from '../errors.js';

/** Larger than any published codebook. */
const MAX_CODES = 2 ** 24;

/** Statistics of the code indices that an image uses. */
export interface CodeUsage {
  /** Number of distinct codes that occur. */
  readonly used: number;
  /** Number of codes in the codebook. */
  readonly of: number;
  /**
   * exp(-sum p log(p + 1e-10)) over the frequencies p of the codes, as `perplexity` in taming-transformers: from 1
   * (one code everywhere) to `of` (all codes equally often).
   */
  readonly perplexity: number;
  /** Occurrences of each code, `[of]`. */
  readonly counts: Int32Array;
}

/**
 * Counts the code indices of an image.
 * @param indices between 0 and `codes` - 1
 * @param codes size of the codebook, 1 to 2^24
 * @throws INVALID_OPTION
 */
export function codeUsage(indices: Int32Array, codes: number): CodeUsage {
  if (!Number.isSafeInteger(codes) || codes < 1 || codes > MAX_CODES)
    throw invalidOption('codes', `an integer between 1 and ${MAX_CODES}`, codes);
  if (!(indices instanceof Int32Array)) throw invalidOption('indices', 'an Int32Array', indices);
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
