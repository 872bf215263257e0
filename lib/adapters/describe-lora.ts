/** Describes a LoRA file for people and tools: its form, size, targets, trigger words and origin. */
import type { LoraFile, LoraPart } from './lora-file.js';
import { targetsOf } from './lora-targets.js';
import { triggerWords } from './trigger-words.js';

/**
 * Form of an adapter: `locon` is a LoRA that changes convolutions with filters larger than 1x1, `dora` a LoRA with magnitudes, `full`
 * consists of differences, `mixed` uses several forms.
 */
export type LoraKind =
  | ('lora' | 'locon' | 'loha' | 'lokr' | 'dora')
  | ('ia3' | 'oft' | 'boft' | 'full' | 'mixed');

export interface LoraDescription {
  readonly kind: LoraKind;
  /** Family of the models that it fits; null if neither its tensors nor its metadata determine it. */
  readonly family: string | null;
  /** Rank; all ranks in ascending order if layers differ, null for a form without rank. */
  readonly rank: number | readonly number[] | null;
  /** Alpha, like `rank`; null if the file states none. */
  readonly alpha: number | readonly number[] | null;
  /** Kinds of layers that it changes, sorted, such as `unet:attn2.to_q` and `text_encoder:self_attn.q_proj`. */
  readonly targets: readonly string[];
  /** Words that a prompt should contain, from files next to it or from its metadata. */
  readonly triggerWords: readonly string[];
  /** Name of the model that it was trained on, from its metadata. */
  readonly baseModel: string | null;
  /** Name that its trainer stored. */
  readonly name: string | null;
  /** Names of bundled embeddings. */
  readonly embeddings: readonly string[];
}

/**
 * Describes a file. Metadata and files next to it are untrusted: malformed ones are ignored.
 * @param family of the models that it fits
 */
export async function describeLora(file: LoraFile, family: string | null): Promise<LoraDescription> {
  const { parts, notes } = file;
  return {
    kind: kindOf(parts),
    family,
    rank: oneOrAll(parts.flatMap((part) => rankOf(part) ?? [])),
    alpha: oneOrAll(alphasOf(file)),
    targets: targetsOf(parts),
    triggerWords: await triggerWords(file),
    baseModel: noteOf(notes, 'ss_sd_model_name', 'ss_base_model_version', 'modelspec.architecture'),
    name: noteOf(notes, 'ss_output_name', 'modelspec.title'),
    embeddings: file.embeddings,
  };
}

/** Returns true for a file with at least one layer that an adapter changes. */
export function isLora({ parts }: LoraFile): boolean {
  return parts.some((part) => formOf(part) !== null);
}

/** Returns the first of these metadata values that is not empty; sd-scripts writes "None" for missing values. */
function noteOf(notes: ReadonlyMap<string, string>, ...keys: readonly string[]): string | null {
  const values = keys.map((key) => notes.get(key)?.trim() ?? '');
  return values.find((value) => value !== '' && value !== 'None' && value !== 'null') ?? null;
}

type Form = Exclude<LoraKind, 'mixed'> | 'norm';

/** Forms that count as a variant of the second one, if a file has both. */
const VARIANTS: readonly (readonly [variant: Form, of: Form])[] = [
  ['locon', 'lora'],
  ['dora', 'lora'],
  ['dora', 'locon'],
];

function kindOf(parts: readonly LoraPart[]): LoraKind {
  const forms = new Set(parts.flatMap((part) => formOf(part) ?? []));
  // LyCORIS trains norms along with any form.
  forms.delete('norm');
  for (const [variant, form] of VARIANTS) if (forms.has(variant)) forms.delete(form);
  const [first = 'full', ...others] = forms;
  return others.length > 0 || first === 'norm' ? 'mixed' : first;
}

/** Returns null for a layer without factors, such as one with nothing but an alpha. */
function formOf({ tensors }: LoraPart): Form | null {
  if (tensors.dora_scale ?? tensors.lora_magnitude_vector) return 'dora';
  if (tensors.hada_w1_a || tensors.hada_w1_b) return 'loha';
  if (tensors.lokr_w1 || tensors.lokr_w1_a || tensors.lokr_w2 || tensors.lokr_w2_a) return 'lokr';
  if (tensors.weight) return 'ia3';
  if (tensors.oft_blocks) return tensors.oft_blocks.shape.length === 4 ? 'boft' : 'oft';
  if (tensors.oft_diag) return 'oft';
  const { lora_down: down, lora_mid: mid } = tensors;
  if (mid) return 'locon';
  if (down) return down.shape.slice(2).some((side) => side > 1) ? 'locon' : 'lora';
  if (tensors.diff && tensors.diff.shape.length > 1) return 'full';
  if (tensors.w_norm || tensors.b_norm) return 'norm';
  return tensors.diff || tensors.diff_b ? 'full' : null;
}

function rankOf({ tensors }: LoraPart): number | undefined {
  const { lora_down: down, hada_w1_b: hadamard, lokr_w2_b: right, lokr_w1_b: left } = tensors;
  return (down ?? hadamard ?? right ?? left)?.shape[0];
}

/** Alphas of the file's layers, else those that PEFT's metadata states. */
function alphasOf({ parts, metadata }: LoraFile): number[] {
  const stored = parts.flatMap(({ alpha }) => alpha ?? []);
  if (stored.length > 0) return stored;
  return [...metadata.scalings.values()].flatMap(({ alpha, patterns }) => [
    ...(alpha === undefined ? [] : [alpha]),
    ...patterns.values(),
  ]);
}

function oneOrAll(values: readonly number[]): number | readonly number[] | null {
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  return distinct.length > 1 ? distinct : (distinct[0] ?? null);
}
