/**
 * Conditioning of the positive and negative guidance branch from prompts, a class, or nothing (unconditional models).
 */
import type { ClassSource, ConditionSource } from '../../checkpoint/model-descriptor.js';
import { readRow } from '../../checkpoint/weights/read-tensor.js';
import type { Encoding, PromptEncoder } from '../../conditioning/prompt-encoder.js';
import type { GuidancePair } from '../../sampling/guidance.js';
import type { Conditioning } from '../../sampling/network.js';
import { Tensor } from '../../tensor/tensor.js';
import type { EncodeRequest } from './loaded-model.js';

/**
 * Encodes the conditioning of both branches.
 * @throws NOT_FINITE, ABORTED, DISPOSED, and errors of loading a text encoder
 */
export async function encodeGuidance(
  condition: ConditionSource,
  promptEncoder: () => Promise<PromptEncoder>,
  { prompt, negative, text, class: label }: EncodeRequest,
  signal: AbortSignal | undefined,
): Promise<GuidancePair> {
  if (condition.kind === 'text')
    return conditioningOf(await (await promptEncoder()).encodePair(prompt, negative, text, signal));
  if (condition.kind === 'none') return { positive: { tensors: {} }, negative: { tensors: {} } };
  const { unconditional } = condition;
  return {
    positive: await classConditioning(condition, label ?? 0),
    negative: unconditional === null ? { tensors: {} } : await classConditioning(condition, unconditional),
  };
}

/** Converts two encoded prompts to conditioning. */
export function conditioningOf(pair: {
  readonly positive: Encoding;
  readonly negative: Encoding;
}): GuidancePair {
  const conditioning = ({ context, pooled }: Encoding): Conditioning => ({
    tensors: { context, ...(pooled ? { pooled } : {}) },
  });
  return { positive: conditioning(pair.positive), negative: conditioning(pair.negative) };
}

/**
 * Returns the class embedding as a context of one token (LDM's `ClassEmbedder`), or the class index for U-Nets with
 * their own table.
 */
async function classConditioning({ table }: ClassSource, label: number): Promise<Conditioning> {
  if (table === null) return { tensors: { class_label: Tensor.from(Int32Array.of(label), [1]) } };
  const row = await readRow(table, label);
  return { tensors: { context: Tensor.from(row, [1, 1, row.length]) } };
}
