/** Validation of encodings passed by the caller. */

import type { Encoding } from '../../conditioning/prompt-encoder.js';
import { invalidOption, SafelightError } from '../../errors.js';
import type { ModelFacts } from '../../families/shared/loaded-model.js';
import { checkFinite, checkTensor } from '../../tensor/check-tensor.js';
import type { Tensor } from '../../tensor/tensor.js';

export type { GivenEncoding } from '../../options/declarations/text.js';

/**
 * Checks an encoding against the widths of the model.
 * @param name of the option
 * @param window chunk length of the text encoder in tokens
 * @throws INVALID_OPTION, SHAPE_MISMATCH, NOT_FINITE
 */
export function checkEncoding(name: string, value: unknown, facts: ModelFacts, window: number): Encoding {
  if (typeof value !== 'object' || value === null || !('context' in value))
    throw invalidOption(name, 'an encoding returned by encodeText ({ context, pooled, chunks })', value);
  const { context: states, pooled, chunks } = value as Readonly<Record<string, unknown>>;
  const context = checkTensor(`${name}.context`, states, [1, 'T', facts.text.width]);
  checkFinite(`${name}.context`, context);
  return {
    context,
    pooled: checkPooled(`${name}.pooled`, pooled, facts),
    chunks: chunkCount(name, context, chunks, window),
  };
}

/**
 * Checks that two encodings have equal lengths or consist of complete chunks, so that one can be padded.
 * @throws SHAPE_MISMATCH
 */
export function checkPair(positive: Encoding, negative: Encoding, window: number): void {
  const [a, b] = [positive.context, negative.context];
  const areComplete = [a, b].every(({ shape }) => shape[1]! % window === 0);
  if (a.shape[1] === b.shape[1] || areComplete) return;
  throw new SafelightError(
    'SHAPE_MISMATCH',
    `Expected contexts of equal length or of multiples of ${window} tokens for positive and negative, received ${shown(a)} and ${shown(b)}`,
  );
}

/** Returns the number of chunks of a context; a fraction if the last one is incomplete. */
function chunkCount(name: string, { shape }: Tensor, chunks: unknown, window: number): number {
  const [, tokens = 0] = shape;
  if (chunks === undefined) return tokens / window;
  if (typeof chunks !== 'number' || !Number.isSafeInteger(chunks) || chunks < 1)
    throw invalidOption(`${name}.chunks`, 'an integer of at least 1', chunks);
  if (chunks * window === tokens) return chunks;
  throw new SafelightError(
    'SHAPE_MISMATCH',
    `Expected ${chunks * window} tokens (${chunks} chunks of ${window}) in ${name}.context, received [${shape.join(', ')}]`,
  );
}

/** Checks the pooled embedding of models that use it (SDXL). */
function checkPooled(name: string, value: unknown, { text }: ModelFacts): Tensor | undefined {
  if (text.pooledWidth === undefined) return undefined;
  const pooled = checkTensor(name, value, [1, text.pooledWidth]);
  checkFinite(name, pooled);
  return pooled;
}

function shown({ shape }: Tensor): string {
  return `[${shape.join(', ')}]`;
}
