/** Reads diffusers' `VQModel` config as `VQModelConfig`. Defaults are those of diffusers 0.42. */
import { z } from 'zod';
import { AUTOENCODER_NORM_EPS, attendingBlocks, checkCodec, requireTypePerLevel } from '../codec.js';
import type { VQModelConfig } from '../types.js';
import { type ConfigFields, channels, checkConfig, count, requireFeatures } from '../validate.js';

const FEATURES = {
  _class_name: ['VQModel'],
  down_block_types: ['DownEncoderBlock2D', 'AttnDownEncoderBlock2D'],
  up_block_types: ['UpDecoderBlock2D', 'AttnUpDecoderBlock2D'],
  act_fn: ['silu', 'swish'],
  norm_type: ['group'],
} as const;

const schema = z.lazy(() =>
  z.object({
    in_channels: channels.default(3),
    out_channels: channels.default(3),
    latent_channels: channels.default(3),
    block_out_channels: z.array(channels).min(1).max(12).default([64]),
    layers_per_block: z.int().min(1).max(16).default(1),
    norm_num_groups: count.default(32),
    mid_block_add_attention: z.boolean().default(true),
    num_vq_embeddings: z
      .int()
      .min(1)
      .max(1 << 22)
      .default(256),
    vq_embed_dim: channels.nullish(),
    scaling_factor: z.number().min(1e-6).max(1e6).default(0.18215),
    down_block_types: z.array(z.string()).nullish(),
    up_block_types: z.array(z.string()).nullish(),
  }),
);

/** @throws INVALID_FILE for values of a wrong type or range, UNSUPPORTED_MODEL for unsupported features */
export function readVQModelConfig(fields: ConfigFields, path: string): VQModelConfig {
  requireFeatures(fields, FEATURES, path);
  const parsed = checkConfig(schema, fields, path);
  const levels = parsed.block_out_channels.length;
  for (const field of ['down_block_types', 'up_block_types'] as const)
    requireTypePerLevel(parsed[field], field, levels, path);
  const config: VQModelConfig = {
    in_channels: parsed.in_channels,
    out_channels: parsed.out_channels,
    z_channels: parsed.latent_channels,
    block_out_channels: parsed.block_out_channels,
    layers_per_block: parsed.layers_per_block,
    norm_num_groups: parsed.norm_num_groups,
    norm_eps: AUTOENCODER_NORM_EPS,
    mid_attention: parsed.mid_block_add_attention,
    down_attention: attendingBlocks(parsed.down_block_types, 'AttnDownEncoderBlock2D', levels),
    up_attention: attendingBlocks(parsed.up_block_types, 'AttnUpDecoderBlock2D', levels),
    num_vq_embeddings: parsed.num_vq_embeddings,
    vq_embed_dim: parsed.vq_embed_dim ?? parsed.latent_channels,
    quantizer: 'nearest',
    scaling_factor: parsed.scaling_factor,
  };
  checkCodec(config, path);
  return config;
}
