/** Reads diffusers' `AutoencoderKL` config as `AutoencoderConfig`. Defaults are those of diffusers 0.42. */
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

const schema = z.lazy(() =>
  z.object({
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
  }),
);

/** @throws INVALID_FILE for values of a wrong type or range, UNSUPPORTED_MODEL for unsupported features */
export function readAutoencoderConfig(fields: ConfigFields, path: string): AutoencoderConfig {
  requireFeatures(fields, FEATURES, path);
  const parsed = checkConfig(schema, fields, path);
  const levels = parsed.block_out_channels.length;
  for (const field of ['down_block_types', 'up_block_types'] as const)
    requireTypePerLevel(parsed[field], field, levels, path);
  return completeAutoencoderConfig(
    {
      in_channels: parsed.in_channels,
      out_channels: parsed.out_channels,
      latent_channels: parsed.latent_channels,
      z_channels: parsed.latent_channels,
      block_out_channels: parsed.block_out_channels,
      layers_per_block: parsed.layers_per_block,
      norm_num_groups: parsed.norm_num_groups,
      norm_eps: AUTOENCODER_NORM_EPS,
      mid_attention: parsed.mid_block_add_attention,
      down_attention: attendingBlocks(parsed.down_block_types, 'AttnDownEncoderBlock2D', levels),
      up_attention: attendingBlocks(parsed.up_block_types, 'AttnUpDecoderBlock2D', levels),
      use_quant_conv: parsed.use_quant_conv,
      use_post_quant_conv: parsed.use_post_quant_conv,
      scaling_factor: parsed.scaling_factor,
      shift_factor: parsed.shift_factor ?? 0,
    },
    path,
  );
}

/** Checks divisibility, and that images have three channels. @throws UNSUPPORTED_MODEL */
export function completeAutoencoderConfig(config: AutoencoderConfig, path: string): AutoencoderConfig {
  checkCodec(config, path);
  if (config.in_channels !== 3) throw unsupported(path, 'in_channels', config.in_channels, 'images have 3');
  if (config.out_channels !== 3)
    throw unsupported(path, 'out_channels', config.out_channels, 'images have 3');
  return config;
}

/** Returns the number of image pixels per latent pixel, per side: 8 with four levels. */
export function autoencoderDownsampleFactor({ block_out_channels }: CodecConfig): number {
  return 2 ** (block_out_channels.length - 1);
}
