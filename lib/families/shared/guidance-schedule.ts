/** Conditioning of a pass from prompts, a class, or nothing (unconditional models). */
import type { ClassSource, ConditionSource } from '../../checkpoint/model-descriptor.js';
import { readRow } from '../../checkpoint/weights/read-tensor.js';
import type { Encoding, PromptEncoder } from '../../conditioning/prompt-encoder.js';
import { constantSchedule, type GuidanceSchedule } from '../../sampling/guidance.js';
import type { Conditioning } from '../../sampling/network.js';
import { Tensor } from '../../tensor/tensor.js';
import type { EncodeRequest } from './loaded-model.js';
import { encodePrompts } from './prompt-guidance.js';

/**
 * Encodes the conditioning of a pass.
 * @throws NOT_FINITE, ABORTED, DISPOSED, and errors of loading a text encoder
 */
export async function encodeGuidance(
  condition: ConditionSource,
  promptEncoder: () => Promise<PromptEncoder>,
  request: EncodeRequest,
  signal: AbortSignal | undefined,
): Promise<GuidanceSchedule> {
  if (condition.kind === 'text') return encodePrompts(await promptEncoder(), request, conditioningOf, signal);
  if (condition.kind === 'none') return constantSchedule({ tensors: {} }, { tensors: {} });
  const { unconditional } = condition;
  return constantSchedule(
    await classConditioning(condition, request.class ?? 0),
    unconditional === null ? { tensors: {} } : await classConditioning(condition, unconditional),
  );
}

/** Converts an encoded prompt to conditioning. */
export function conditioningOf({ context, pooled }: Encoding): Conditioning {
  return { tensors: { context, ...(pooled ? { pooled } : {}) } };
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
