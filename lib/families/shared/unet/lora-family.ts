/** Recognition of the model family that an adapter was trained for, by its tensors, else by its metadata. */
import { changeOf } from '../../../adapters/lora-change.js';
import type { LoraFile, LoraPart } from '../../../adapters/lora-file.js';
import { componentOf } from '../../../adapters/lora-targets.js';

/** Families by the width of the text states that a U-Net's cross-attention reads. */
const BY_TEXT_WIDTH: ReadonlyMap<number, string> = new Map([
  [768, 'sd1'],
  [1024, 'sd2'],
  [1280, 'sdxl_refiner'],
  [2048, 'sdxl'],
]);
/** Families by the width of their only text encoder. */
const BY_ENCODER_WIDTH: ReadonlyMap<number, string> = new Map([
  [768, 'sd1'],
  [1024, 'sd2'],
]);

/** Widths of SDXL's text encoders. */
const LARGE_WIDTHS = [768, 1280];

/** Values of `ss_base_model_version` and `modelspec.architecture`, in lower case. */
const BY_METADATA: readonly (readonly [pattern: RegExp, family: string])[] = [
  [/^sd_v1|^sd_?1|^stable-diffusion-v1/, 'sd1'],
  [/^sd_v2|^sd_?2|^stable-diffusion-v2/, 'sd2'],
  [/^sdxl[_-]refiner|^stable-diffusion-xl-v1-refiner/, 'sdxl_refiner'],
  [/^sdxl|^stable-diffusion-xl/, 'sdxl'],
];

/** Blocks of transformers that replace the U-Net in other families. */
const OTHER_NETWORKS =
  /(?:double|single|joint)_(?:transformer_)?blocks|^transformer\.|^lora_te3_|^text_encoder_3\./;
/** Only SDXL has two text encoders, several transformer blocks per attention, and an embedding of sizes. */
const LARGE =
  /^lora_te[12]_|^text_encoder_2\.|transformer_blocks[._](?:[1-9]|\d\d)[._]|(?:add_embedding|label_emb)[._]/;
const CROSS_ATTENTION = /attn2[._]to_[kv]$/;
const ENCODER_ATTENTION = /self_attn[._][qkv]_proj$/;

/** Returns the name of the family; null if neither tensors nor metadata determine it. */
export function loraFamily(file: LoraFile): string | null {
  return byTensors(file) ?? byMetadata(file);
}

/**
 * Returns the name of the family whose text encoders take vectors of these widths; null for others.
 * @param widths of the tables of an embedding, one per text encoder
 */
export function embeddingFamily(widths: readonly number[]): string | null {
  if (widths.length > 1) return widths.join() === LARGE_WIDTHS.join() ? 'sdxl' : null;
  return BY_ENCODER_WIDTH.get(widths[0] ?? 0) ?? null;
}

/** Returns what a file was trained for, for messages; null if it is not known. */
export function trainedFor(file: LoraFile): string | null {
  return loraFamily(file) ?? (isOtherNetwork(file) ? 'a diffusion transformer' : null);
}

function isOtherNetwork({ parts, others }: LoraFile): boolean {
  return [...parts.map(({ layer }) => layer), ...others].some((name) => OTHER_NETWORKS.test(name));
}

function byTensors(file: LoraFile): string | null {
  const layers = file.parts.map(({ layer }) => layer);
  if (isOtherNetwork(file)) return null;
  const cross = widths(file, CROSS_ATTENTION).flatMap((width) => BY_TEXT_WIDTH.get(width) ?? []);
  if (cross[0] !== undefined) return cross[0];
  if (layers.some((layer) => LARGE.test(layer))) return 'sdxl';
  const encoder = widths(file, ENCODER_ATTENTION).flatMap((width) => BY_ENCODER_WIDTH.get(width) ?? []);
  return encoder[0] ?? null;
}

/** Returns the numbers of inputs of the layers with such a name. */
function widths(file: LoraFile, layer: RegExp): number[] {
  return file.parts.filter((part) => layer.test(part.layer)).flatMap((part) => inputsOf(part, file) ?? []);
}

function inputsOf(part: LoraPart, file: LoraFile): number | null {
  const { diff } = part.tensors;
  if (diff) return diff.shape[1] ?? null;
  try {
    return changeOf(part, componentOf(part.layer), [], file)?.size[1] ?? null;
  } catch {
    // An incomplete layer has no size; applying the file reports it.
    return null;
  }
}

function byMetadata({ notes }: LoraFile): string | null {
  for (const key of ['ss_base_model_version', 'modelspec.architecture']) {
    const value = notes.get(key)?.trim().toLowerCase() ?? '';
    const family = BY_METADATA.find(([pattern]) => pattern.test(value))?.[1];
    if (family !== undefined) return family;
  }
  return null;
}
