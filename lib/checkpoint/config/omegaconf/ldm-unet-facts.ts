/**
 * Reads the properties of a CompVis U-Net that its tensors do not determine from the YAML (arguments of
 * `openaimodel.UNetModel`).
 */
import { SafelightError } from '../../../errors.js';
import type { LdmAttention } from '../../naming/ldm-attention.js';
import type { ModelConfig } from './model-config.js';

export interface LdmUNetFacts {
  readonly attention: LdmAttention;
  /** Side length of the training latents. */
  readonly sampleSize: number | undefined;
}

/** Settings that change the computation and that no published model uses. */
const UNSUPPORTED: Readonly<Record<string, (value: unknown) => boolean>> = {
  dims: (value) => value !== 2,
  conv_resample: (value) => value === false,
  n_embed: () => true,
  num_classes: (value) => value === 'continuous',
  disable_self_attentions: (value) => Array.isArray(value) && value.includes(true),
  disable_middle_self_attn: (value) => value === true,
  num_attention_blocks: () => true,
};

/**
 * @param config the checkpoint's YAML, or null
 * @param section path of the U-Net's arguments
 * @returns null without a config or such a section
 * @throws INVALID_FILE for values of a wrong type, UNSUPPORTED_MODEL for unsupported settings
 */
export function readLdmUNetFacts(
  config: ModelConfig | null,
  section = 'model.params.unet_config.params',
): LdmUNetFacts | null {
  const params = config?.section(section) ?? null;
  if (params === null) return null;
  for (const [field, refuses] of Object.entries(UNSUPPORTED)) {
    const value = params.get(field);
    if (value !== undefined && value !== null && refuses(value)) throw refused(params, field, value);
  }
  return {
    attention: { heads: headsOf(params), newOrder: params.getBoolean('use_new_attention_order', false) },
    sampleSize: sideOf(params),
  };
}

/** Reads one number for both sides, or a list of two. */
function sideOf(params: ModelConfig): number | undefined {
  if (!params.has('image_size')) return undefined;
  const range = { min: 1, max: 65536 };
  if (!Array.isArray(params.get('image_size'))) return params.getInt<never>('image_size', undefined, range);
  return Math.max(1, ...params.getInts<never>('image_size', undefined, range));
}

/** Returns the number of heads by channels. `num_head_channels` has precedence; -1 means unset. */
function headsOf(params: ModelConfig): (channels: number) => number {
  const wide = params.getInt('num_head_channels', -1, { min: -1, max: 65536 });
  if (wide > 0) return (channels) => Math.max(1, Math.floor(channels / wide));
  const heads = params.getInt('num_heads', -1, { min: -1, max: 1024 });
  if (heads < 1) params.fail('num_heads', 'expected num_heads or num_head_channels');
  const upsample = params.getInt('num_heads_upsample', -1, { min: -1, max: 1024 });
  if (upsample > 0 && upsample !== heads) throw refused(params, 'num_heads_upsample', upsample);
  return () => heads;
}

function refused(params: ModelConfig, field: string, value: unknown): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `${params.where}: ${field} of the U-Net is ${JSON.stringify(value)}, which is not supported`,
  );
}
