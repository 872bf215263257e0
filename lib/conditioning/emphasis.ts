/**
 * Weights on encoded text. A text encoder knows no weights, so A1111 scales its output, token by token; how, is the
 * emphasis mode. Everything here works on one encoder's states, before those of two encoders are joined.
 */
import { SafelightError } from '../errors.js';

/**
 * `original`: scale, then restore the chunk's mean (A1111's default). `no norm`: scale only. `ignore`: the syntax is read but weights do
 * nothing. `none`: brackets are ordinary text (`parsePrompt` is not called).
 */
export const emphases = ['original', 'no norm', 'ignore', 'none'] as const;
export type Emphasis = (typeof emphases)[number];

/**
 * Scales each token's state by its weight, in a new array.
 *
 * `original` multiplies by old mean / new mean over the whole chunk [T, C] (start, end and padding included), one encoder at a time.
 * Source: A1111 `modules/sd_emphasis.py`, EmphasisOriginal.
 *
 * @param states one chunk of one encoder, [T, C]
 * @param weights [T], as in `Chunk.weights`
 * @throws SHAPE_MISMATCH where states is no multiple of weights
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
      `Expected states of ${tokens} tokens but received ${states.length} numbers, which ${tokens} does not divide`,
    );
  const scaled = Float32Array.from(states);
  // Weights of 1 leave mean and states as they are: the encoder's own numbers, bit by bit.
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
 * Appends encodings of the empty prompt, chunk by chunk, until there are as many chunks as the other prompt has, so that
 * both run in one batch (A1111's `pad_cond_uncond`).
 *
 * @param context all chunks of a prompt, encoded and joined, [n * T, C]
 * @param chunks n
 * @param target how many chunks are wanted, n or more
 * @param empty the encoding of the empty prompt, one chunk [T, C]
 * @returns [target * T, C]; `context` itself if nothing is missing
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
      `Expected ${chunks} chunks of ${empty.length} numbers but received ${context.length} numbers`,
    );
  if (!Number.isInteger(target) || target < chunks)
    throw new SafelightError('INVALID_OPTION', `Expected at least ${chunks} chunks but received ${target}`);
  if (target === chunks) return context;
  const padded = new Float32Array(target * empty.length);
  padded.set(context);
  for (let chunk = chunks; chunk < target; chunk++) padded.set(empty, chunk * empty.length);
  return padded;
}

/** In double precision: a mean near zero is divided by. */
function mean(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
