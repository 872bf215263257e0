/**
 * Emphasis weights. As in A1111, they scale the output of a text encoder per token. Applied to the states of each
 * encoder separately, before those of two encoders are concatenated.
 */
import { SafelightError } from '../errors.js';

/**
 * Emphasis modes. `original`: scales, then restores the mean of the chunk (A1111's default). `no norm`: scales only.
 * `ignore`: parses the syntax but ignores weights. `none`: treats brackets as text (`parsePrompt` is not called).
 */
export const emphases = ['original', 'no norm', 'ignore', 'none'] as const;
export type Emphasis = (typeof emphases)[number];

/**
 * Returns a copy of the states, scaled by the weights of their tokens.
 *
 * `original` then multiplies by old mean / new mean of the chunk, including start, end and padding.
 * Reference: A1111 `modules/sd_emphasis.py`, EmphasisOriginal.
 *
 * @param states of one chunk and one encoder, `[T, C]`
 * @param weights `[T]`, as in `Chunk.weights`
 * @throws SHAPE_MISMATCH if the length of states is not a multiple of T
 */
export function applyEmphasis(
  states: Float32Array,
  weights: ArrayLike<number>,
  mode: Emphasis,
): Float32Array {
  const tokens = weights.length;
  if (tokens === 0 || states.length % tokens !== 0)
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `Expected states of ${tokens} tokens, received ${states.length} numbers, which is not a multiple`,
    );
  const scaled = Float32Array.from(states);
  // With weights of 1 only, the encoder's output is returned unchanged, bit by bit.
  if (mode === 'ignore' || mode === 'none' || Array.prototype.every.call(weights, (weight) => weight === 1))
    return scaled;
  const width = states.length / tokens;
  for (let token = 0; token < tokens; token++) {
    const weight = Math.fround(weights[token]!);
    for (let i = token * width; i < (token + 1) * width; i++) scaled[i]! *= weight;
  }
  if (mode === 'no norm') return scaled;
  const restore = Math.fround(mean(states) / mean(scaled));
  for (let i = 0; i < scaled.length; i++) scaled[i]! *= restore;
  return scaled;
}

/**
 * Appends encodings of the empty prompt up to the number of chunks of the other prompt, so that both run in one batch
 * (A1111's `pad_cond_uncond`).
 *
 * @param context encoded chunks of a prompt, `[chunks * T, C]`
 * @param target number of chunks to return, at least `chunks`
 * @param empty encoding of the empty prompt, one chunk `[T, C]`
 * @returns `[target * T, C]`; `context` itself if `target` equals `chunks`
 * @throws SHAPE_MISMATCH, INVALID_OPTION
 */
export function padChunks(
  context: Float32Array,
  chunks: number,
  target: number,
  empty: Float32Array,
): Float32Array {
  if (context.length !== chunks * empty.length)
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `Expected ${chunks} chunks of ${empty.length} numbers, received ${context.length} numbers`,
    );
  if (!Number.isInteger(target) || target < chunks)
    throw new SafelightError('INVALID_OPTION', `Expected at least ${chunks} chunks, received ${target}`);
  if (target === chunks) return context;
  const padded = new Float32Array(target * empty.length);
  padded.set(context);
  for (let chunk = chunks; chunk < target; chunk++) padded.set(empty, chunk * empty.length);
  return padded;
}

/** Computes the mean in double precision, because the result may be close to zero and is divided by. */
function mean(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
