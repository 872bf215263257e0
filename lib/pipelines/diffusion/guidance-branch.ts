/** What the U-Net is told of the picture, for either side of guidance: text, a class, or nothing. */
import type { ClassSource } from '../../checkpoint/model-descriptor.js';
import { readRow } from '../../checkpoint/weights/read-tensor.js';
import type { Condition } from '../../sampling/guidance.js';
import { Tensor } from '../../tensor/tensor.js';
import type { Engine } from '../model/loaded-model.js';
import type { Settings } from '../options.js';

/** As the U-Net takes it; what it does not ask for is left out. */
export interface ModelCondition {
  /** `[1, T, D]` */
  readonly context?: Tensor | undefined;
  /** `[1, P]` */
  readonly pooled?: Tensor | undefined;
  /** `[1]`, the number of a class. */
  readonly label?: Tensor<Int32Array> | undefined;
}

export type Conditions = Readonly<Record<Condition, ModelCondition>>;

/** @throws NOT_FINITE, ABORTED, DISPOSED, and what loading a text encoder throws */
export async function encodeConditions(
  engine: Engine,
  { prompt, negative, text, class: label }: Pick<Settings, 'prompt' | 'negative' | 'text' | 'class'>,
  signal: AbortSignal | undefined,
): Promise<Conditions> {
  const { condition } = engine.facts;
  if (condition.kind === 'text') {
    const conditioner = await engine.conditioner(signal);
    return conditioner.encodePair(prompt, negative, text, signal);
  }
  if (condition.kind === 'none') return { positive: {}, negative: {} };
  const { unconditional } = condition;
  return {
    positive: await ofClass(condition, label ?? 0),
    negative: unconditional === null ? {} : await ofClass(condition, unconditional),
  };
}

/** A row of the model's table, which transformers attend to as to one token (LDM's `ClassEmbedder`), or the number itself. */
async function ofClass({ table }: ClassSource, label: number): Promise<ModelCondition> {
  if (table === null) return { label: Tensor.from(Int32Array.of(label), [1]) };
  const row = await readRow(table, label);
  return { context: Tensor.from(row, [1, 1, row.length]) };
}

/** Tokens of the text, or of what stands in its place. */
export function lengthOf({ positive }: Conditions): number {
  return positive.context?.shape[1] ?? 0;
}
