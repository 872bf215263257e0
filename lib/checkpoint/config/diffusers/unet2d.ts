/**
 * Reads diffusers' `UNet2DModel` config (DDPM, unconditional latent diffusion) as `UNetConfig`. Defaults are those of
 * diffusers 0.42.
 */

import { z } from 'zod';
import { defined } from '../../../defined.js';
import type { ClassEmbeddingConfig, UNetConfig } from '../types.js';
import {
  type ConfigFields,
  channels,
  checkConfig,
  count,
  epsilon,
  requireFeatures,
  unsupported,
} from '../validate.js';
import { completeUNetConfig } from './complete-unet.js';

const FEATURES = {
  center_input_sample: [false],
  time_embedding_type: ['positional'],
  down_block_types: ['DownBlock2D', 'AttnDownBlock2D', 'ResnetDownsampleBlock2D'],
  mid_block_type: ['UNetMidBlock2D'],
  up_block_types: ['UpBlock2D', 'AttnUpBlock2D', 'ResnetUpsampleBlock2D'],
  downsample_type: ['conv', 'resnet'],
  upsample_type: ['conv', 'resnet'],
  act_fn: ['silu', 'swish'],
  resnet_time_scale_shift: ['default', 'scale_shift'],
  class_embed_type: ['timestep', 'identity'],
} as const;

const schema = z.lazy(() =>
  z.object({
    in_channels: channels.default(3),
    out_channels: channels.default(3),
    time_embedding_dim: z.int().nullish(),
    freq_shift: epsilon.default(0),
    flip_sin_to_cos: z.boolean().default(true),
    down_block_types: z
      .array(z.string())
      .default(['DownBlock2D', 'AttnDownBlock2D', 'AttnDownBlock2D', 'AttnDownBlock2D']),
    mid_block_type: z.string().nullable().default('UNetMidBlock2D'),
    up_block_types: z
      .array(z.string())
      .default(['AttnUpBlock2D', 'AttnUpBlock2D', 'AttnUpBlock2D', 'UpBlock2D']),
    block_out_channels: z.array(channels).min(1).max(12).default([224, 448, 672, 896]),
    layers_per_block: z.int().min(1).max(16).default(2),
    mid_block_scale_factor: z.number().min(1e-3).max(1e3).default(1),
    downsample_padding: z.literal([0, 1]).default(1),
    downsample_type: z.string().default('conv'),
    upsample_type: z.string().default('conv'),
    attention_head_dim: count.nullable().default(8),
    norm_num_groups: count.default(32),
    attn_norm_num_groups: count.nullable().default(null),
    norm_eps: epsilon.default(1e-5),
    resnet_time_scale_shift: z.string().default('default'),
    add_attention: z.boolean().default(true),
    class_embed_type: z.string().nullish(),
    num_class_embeds: z
      .int()
      .min(1)
      .max(2 ** 24)
      .nullish(),
    sample_size: z.union([count, z.tuple([count, count])]).nullish(),
  }),
);

type Given = z.infer<typeof schema>;

/**
 * @param fields content of diffusers' config.json
 * @param path path of that file, for messages
 * @throws INVALID_FILE for values of a wrong type or range, UNSUPPORTED_MODEL for unsupported features
 */
export function readUNet2DConfig(fields: ConfigFields, path: string): UNetConfig {
  requireFeatures(fields, FEATURES, path);
  const parsed = checkConfig(schema, fields, path);
  const sides = parsed.block_out_channels;
  if (parsed.time_embedding_dim && parsed.time_embedding_dim !== 4 * sides[0]!)
    throw unsupported(path, 'time_embedding_dim', parsed.time_embedding_dim);
  for (const field of ['down_block_types', 'up_block_types'] as const) {
    if (parsed[field].length !== sides.length)
      throw unsupported(path, field, parsed[field], `expected one value per level (${sides.length})`);
  }
  const sample = parsed.sample_size ?? 64;
  const headDim = parsed.attention_head_dim;
  return completeUNetConfig(
    {
      in_channels: parsed.in_channels,
      out_channels: parsed.out_channels,
      block_out_channels: sides,
      layers_per_block: sides.map(() => parsed.layers_per_block),
      attention_blocks: true,
      down_attention: parsed.down_block_types.map((type) => type === 'AttnDownBlock2D'),
      up_attention: parsed.up_block_types.map((type) => type === 'AttnUpBlock2D'),
      transformer_layers_per_block: sides.map(() => 0),
      num_attention_heads: sides.map((side) => Math.floor(side / (headDim ?? side))),
      ...middle(parsed),
      ...resampling(parsed),
      cross_attention_dim: 0,
      use_linear_projection: false,
      norm_num_groups: parsed.norm_num_groups,
      norm_eps: parsed.norm_eps,
      ...defined({ scale_shift_norm: parsed.resnet_time_scale_shift === 'scale_shift' || undefined }),
      flip_sin_to_cos: parsed.flip_sin_to_cos,
      freq_shift: parsed.freq_shift,
      addition: null,
      ...labels(parsed),
      sample_size: Array.isArray(sample) ? Math.max(...sample) : sample,
    },
    path,
  );
}

/**
 * Reads the middle block. As in diffusers, its attention has no norm with `scale_shift`, unless `attn_norm_num_groups`
 * is parsed.
 */
function middle(parsed: Given) {
  const norm = parsed.resnet_time_scale_shift === 'default' ? parsed.norm_num_groups : 0;
  const groups = parsed.attn_norm_num_groups ?? norm;
  const exists = parsed.mid_block_type !== null;
  const attends = exists && parsed.add_attention;
  return {
    mid_attention: attends,
    ...defined({
      mid_resnets: attends ? undefined : exists ? 2 : 0,
      mid_attention_groups: attends && groups !== parsed.norm_num_groups ? groups : undefined,
      mid_block_scale_factor: parsed.mid_block_scale_factor === 1 ? undefined : parsed.mid_block_scale_factor,
    }),
  };
}

/** Reads the resampling of each level. The last level of each path does not resample. */
function resampling(parsed: Given): Partial<UNetConfig> {
  const last = parsed.block_out_channels.length - 1;
  const resnet = (type: string, i: number, plain: string, attends: string, attending: string) =>
    i < last && (type === plain || (type === attends && attending === 'resnet'));
  const down = parsed.down_block_types.map((type, i) =>
    resnet(type, i, 'ResnetDownsampleBlock2D', 'AttnDownBlock2D', parsed.downsample_type),
  );
  const up = parsed.up_block_types.map((type, i) =>
    resnet(type, i, 'ResnetUpsampleBlock2D', 'AttnUpBlock2D', parsed.upsample_type),
  );
  return defined({
    resnet_downsample: down.includes(true) ? down : undefined,
    resnet_upsample: up.includes(true) ? up : undefined,
    downsample_padding: parsed.downsample_padding === 0 ? (0 as const) : undefined,
  });
}

function labels({ class_embed_type: type, num_class_embeds: size }: Given): {
  class_embedding?: ClassEmbeddingConfig;
} {
  if (type === 'timestep' || type === 'identity') return { class_embedding: { type } };
  return size ? { class_embedding: { type: 'table', size } } : {};
}
