/** diffusers' `AutoencoderKL` config as Safelight's `AutoencoderConfig`. Defaults are those of diffusers 0.42. */
import { z } from 'zod';
import { AUTOENCODER_NORM_EPS, attendingBlocks, checkCodec, requireTypePerLevel } from '../codec.js';
import type { AutoencoderConfig, CodecConfig } from '../types.js';
import {
  type ConfigFields,
  channels,
  checkConfig,
  count,
  requireFeatures,
  unsupported,
} from '../validate.js';

const FEATURES = {
  _class_name: ['AutoencoderKL'],
  down_block_types: ['DownEncoderBlock2D', 'AttnDownEncoderBlock2D'],
  up_block_types: ['UpDecoderBlock2D', 'AttnUpDecoderBlock2D'],
  act_fn: ['silu', 'swish'],
  latents_mean: [],
  latents_std: [],
} as const;

const schema = z.object({
  in_channels: channels.default(3),
  out_channels: channels.default(3),
  latent_channels: channels.default(4),
  block_out_channels: z.array(channels).min(1).max(12).default([64]),
  layers_per_block: z.int().min(1).max(16).default(1),
  norm_num_groups: count.default(32),
  mid_block_add_attention: z.boolean().default(true),
  use_quant_conv: z.boolean().default(true),
  use_post_quant_conv: z.boolean().default(true),
  scaling_factor: z.number().min(1e-6).max(1e6).default(0.18215),
  shift_factor: z.number().min(-1e6).max(1e6).nullish(),
  down_block_types: z.array(z.string()).nullish(),
  up_block_types: z.array(z.string()).nullish(),
});

/** @throws INVALID_FILE for values of a wrong type or range, UNSUPPORTED_MODEL for features Safelight does not run */
export function readAutoencoderConfig(fields: ConfigFields, path: string): AutoencoderConfig {
  requireFeatures(fields, FEATURES, path);
  const given = checkConfig(schema, fields, path);
  const levels = given.block_out_channels.length;
  for (const field of ['down_block_types', 'up_block_types'] as const)
    requireTypePerLevel(given[field], field, levels, path);
  return completeAutoencoderConfig(
    {
      in_channels: given.in_channels,
      out_channels: given.out_channels,
      latent_channels: given.latent_channels,
      z_channels: given.latent_channels,
      block_out_channels: given.block_out_channels,
      layers_per_block: given.layers_per_block,
      norm_num_groups: given.norm_num_groups,
      norm_eps: AUTOENCODER_NORM_EPS,
      mid_attention: given.mid_block_add_attention,
      down_attention: attendingBlocks(given.down_block_types, 'AttnDownEncoderBlock2D', levels),
      up_attention: attendingBlocks(given.up_block_types, 'AttnUpDecoderBlock2D', levels),
      use_quant_conv: given.use_quant_conv,
      use_post_quant_conv: given.use_post_quant_conv,
      scaling_factor: given.scaling_factor,
      shift_factor: given.shift_factor ?? 0,
    },
    path,
  );
}

/** Checks what must divide, and that pictures have three channels. */
export function completeAutoencoderConfig(config: AutoencoderConfig, path: string): AutoencoderConfig {
  checkCodec(config, path);
  if (config.in_channels !== 3) throw unsupported(path, 'in_channels', config.in_channels, 'pictures have 3');
  if (config.out_channels !== 3)
    throw unsupported(path, 'out_channels', config.out_channels, 'pictures have 3');
  return config;
}

/** Pixels a side that one number of the latent stands for: 8 with four levels. */
export function autoencoderDownsampleFactor({ block_out_channels }: CodecConfig): number {
  return 2 ** (block_out_channels.length - 1);
}
