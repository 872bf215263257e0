/** Encoded prompts, and their combination. */
import { SafelightError } from '../errors.js';
import { Tensor } from '../tensor/tensor.js';
import { padChunks } from './emphasis.js';

/** Text embeddings of a prompt. */
export interface Encoding {
  /** `[1, T, D]`: the states of all chunks, with those of several encoders concatenated along D. */
  readonly context: Tensor;
  /** Pooled embedding `[1, P]` of the first chunk, for models that use it (SDXL); otherwise undefined. */
  readonly pooled: Tensor | undefined;
  /** Number of chunks. */
  readonly chunks: number;
}

/**
 * Concatenates the states of several encoders per token; the pooled embedding is that of the encoder that returns
 * one.
 */
export function join(parts: readonly Encoding[]): Encoding {
  const [first] = parts as [Encoding];
  if (parts.length === 1) return first;
  const pooled = parts.find((part) => part.pooled)?.pooled;
  const tokens = first.context.shape[1]!;
  if (parts.some((part) => part.context.shape[1] !== tokens)) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      "The tokenizers of the model's text encoders split the prompt into different numbers of chunks",
    );
  }
  const widths = parts.map((part) => part.context.shape[2]!);
  const width = widths.reduce((a, b) => a + b, 0);
  const joined = new Float32Array(tokens * width);
  let offset = 0;
  parts.forEach(({ context }, i) => {
    const columns = widths[i]!;
    for (let t = 0; t < tokens; t++)
      joined.set(context.data.subarray(t * columns, (t + 1) * columns), t * width + offset);
    offset += columns;
  });
  return { context: Tensor.from(joined, [1, tokens, width]), pooled, chunks: first.chunks };
}

/** Appends encodings of the empty prompt up to a number of chunks. */
export function padded(encoding: Encoding, chunks: number, empty: Encoding): Encoding {
  const [, tokens = 0, width = 0] = empty.context.shape;
  const data = padChunks(encoding.context.data, encoding.chunks, chunks, empty.context.data);
  return { ...encoding, chunks, context: Tensor.from(data, [1, chunks * tokens, width]) };
}

/** Returns zeros of the same shapes. */
export function emptied({ context, pooled, chunks }: Encoding): Encoding {
  return { context: Tensor.zeros(context.shape), pooled: pooled && Tensor.zeros(pooled.shape), chunks };
}
