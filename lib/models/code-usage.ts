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
  const counts = new Int32Array(codes);
  for (const index of indices) counts[index]! += 1;
  let entropy = 0;
  let used = 0;
  for (const count of counts) {
    const p = count / indices.length;
    entropy -= p * Math.log(p + 1e-10);
    if (count > 0) used++;
  }
  return { used, of: codes, perplexity: Math.exp(entropy), counts };
}
