/**
 * Reads diffusers' `UNet2DConditionModel` or `UNet2DModel` config as `UNetConfig`. Defaults are those of diffusers
 * 0.42.
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
  perLevel,
  requireFeatures,
  transformerLayers,
  unsupported,
  width,
} from '../validate.js';
import { completeUNetConfig } from './complete-unet.js';
import { readUNet2DConfig } from './unet2d.js';

const FEATURES = {
  _class_name: ['UNet2DConditionModel'],
  center_input_sample: [false],
  down_block_types: ['CrossAttnDownBlock2D', 'DownBlock2D', 'ResnetDownsampleBlock2D'],
  up_block_types: ['CrossAttnUpBlock2D', 'UpBlock2D', 'ResnetUpsampleBlock2D'],
  mid_block_type: ['UNetMidBlock2DCrossAttn', 'UNetMidBlock2D'],
  only_cross_attention: [false],
  mid_block_only_cross_attention: [false],
  dual_cross_attention: [false],
  cross_attention_norm: [],
  attention_type: ['default'],
  downsample_padding: [0, 1],
  act_fn: ['silu', 'swish'],
  reverse_transformer_layers_per_block: [],
  encoder_hid_dim: [],
  encoder_hid_dim_type: [],
  class_embed_type: ['timestep', 'identity', 'projection'],
  class_embeddings_concat: [false],
  addition_embed_type: ['text_time'],
  resnet_time_scale_shift: ['default', 'scale_shift'],
  resnet_skip_time_act: [false],
  resnet_out_scale_factor: [1],
  time_embedding_type: ['positional'],
  time_embedding_act_fn: [],
  timestep_post_act: [],
  conv_in_kernel: [3],
  conv_out_kernel: [3],
} as const;

const schema = z.lazy(() =>
  z.object({
    in_channels: channels.default(4),
    out_channels: channels.default(4),
    block_out_channels: z.array(channels).min(1).max(12).default([320, 640, 1280, 1280]),
    layers_per_block: perLevel(z.int().min(1).max(16)).default(2),
    down_block_types: z
      .array(z.string())
      .default(['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D']),
    up_block_types: z
      .array(z.string())
      .default(['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D']),
    mid_block_type: z.string().default('UNetMidBlock2DCrossAttn'),
    transformer_layers_per_block: perLevel(transformerLayers).default(1),
    attention_head_dim: perLevel(count).nullable().default(8),
    num_attention_heads: perLevel(count).nullish(),
    cross_attention_dim: perLevel(width).default(1280),
    use_linear_projection: z.boolean().default(false),
    norm_num_groups: count.default(32),
    norm_eps: epsilon.default(1e-5),
    flip_sin_to_cos: z.boolean().default(true),
    freq_shift: epsilon.default(0),
    addition_embed_type: z.string().nullish(),
    addition_time_embed_dim: channels.nullish(),
    projection_class_embeddings_input_dim: width.nullish(),
    time_embedding_dim: width.nullish(),
    time_cond_proj_dim: z.int().min(4).max(16_384).nullish(),
    downsample_padding: z.literal([0, 1]).nullish(),
    mid_block_scale_factor: z.number().min(1e-3).max(1e3).nullish(),
    resnet_time_scale_shift: z.string().nullish(),
    class_embed_type: z.string().nullish(),
    num_class_embeds: z
      .int()
      .min(1)
      .max(2 ** 24)
      .nullish(),
    sample_size: z.union([count, z.tuple([count, count])]).nullish(),
  }),
);

/**
 * @param fields content of diffusers' config.json
 * @param path path of that file, for messages
 * @throws INVALID_FILE for values of a wrong type or range, UNSUPPORTED_MODEL for unsupported features
 */
export function readUNetConfig(fields: ConfigFields, path: string): UNetConfig {
  if (fields._class_name === 'UNet2DModel') return readUNet2DConfig(fields, path);
  requireFeatures(fields, FEATURES, path);
  if (fields.mid_block_type === null) throw unsupported(path, 'mid_block_type', null);
  const parsed = checkConfig(schema, fields, path);
  const sides = parsed.block_out_channels;
  const list = <T>(value: T | T[], field: string): T[] => {
    const values = Array.isArray(value) ? value : sides.map(() => value);
    if (values.length !== sides.length)
      throw unsupported(path, field, value, `expected one value per level (${sides.length})`);
    return values;
  };
  const [first = 0] = sides;
  if (parsed.time_embedding_dim && parsed.time_embedding_dim !== 4 * first) {
    throw unsupported(path, 'time_embedding_dim', parsed.time_embedding_dim);
  }
  const contexts = list(parsed.cross_attention_dim, 'cross_attention_dim');
  const [context = 0] = contexts;
  if (contexts.some((other) => other !== context)) throw unsupported(path, 'cross_attention_dim', contexts);
  // diffusers calls the number of heads `attention_head_dim`, a misnomer kept for compatibility (diffusers issue 2011).
  const heads = parsed.num_attention_heads ?? parsed.attention_head_dim;
  if (heads === null) throw unsupported(path, 'attention_head_dim', null);
  const sample = parsed.sample_size ?? 64;
  return completeUNetConfig(
    {
      in_channels: parsed.in_channels,
      out_channels: parsed.out_channels,
      block_out_channels: sides,
      layers_per_block: list(parsed.layers_per_block, 'layers_per_block'),
      down_attention: list(parsed.down_block_types, 'down_block_types').map(
        (type) => type === 'CrossAttnDownBlock2D',
      ),
      up_attention: list(parsed.up_block_types, 'up_block_types').map(
        (type) => type === 'CrossAttnUpBlock2D',
      ),
      transformer_layers_per_block: list(parsed.transformer_layers_per_block, 'transformer_layers_per_block'),
      num_attention_heads: list(heads, 'attention_head_dim'),
      mid_attention: parsed.mid_block_type === 'UNetMidBlock2DCrossAttn',
      cross_attention_dim: context,
      ...readVariants(parsed, path),
      use_linear_projection: parsed.use_linear_projection,
      norm_num_groups: parsed.norm_num_groups,
      norm_eps: parsed.norm_eps,
      flip_sin_to_cos: parsed.flip_sin_to_cos,
      freq_shift: parsed.freq_shift,
      addition: readAddition(parsed, path),
      sample_size: Array.isArray(sample) ? Math.max(...sample) : sample,
    },
    path,
  );
}

function readAddition(parsed: z.infer<typeof schema>, path: string): UNetConfig['addition'] {
  if (!parsed.addition_embed_type) return null;
  const { addition_time_embed_dim: width, projection_class_embeddings_input_dim: input } = parsed;
  if (!width) throw unsupported(path, 'addition_time_embed_dim', width ?? null, 'text_time requires it');
  if (!input)
    throw unsupported(path, 'projection_class_embeddings_input_dim', input ?? null, 'text_time requires it');
  return { time_embed_dim: width, input_dim: input };
}

/** Reads features that Stable Diffusion's own U-Nets do not have. The last level of each path does not resample. */
function readVariants(parsed: z.infer<typeof schema>, path: string): Partial<UNetConfig> {
  const last = parsed.block_out_channels.length - 1;
  const down = parsed.down_block_types.map((type, i) => i < last && type === 'ResnetDownsampleBlock2D');
  const up = parsed.up_block_types.map((type, i) => i < last && type === 'ResnetUpsampleBlock2D');
  const label = classEmbedding(parsed, path);
  const divisor = parsed.mid_block_scale_factor ?? 1;
  return defined({
    resnet_downsample: down.includes(true) ? down : undefined,
    resnet_upsample: up.includes(true) ? up : undefined,
    scale_shift_norm: parsed.resnet_time_scale_shift === 'scale_shift' || undefined,
    downsample_padding: parsed.downsample_padding === 0 ? (0 as const) : undefined,
    mid_block_scale_factor: divisor === 1 ? undefined : divisor,
    time_cond_proj_dim: parsed.time_cond_proj_dim ?? undefined,
    class_embedding: label ?? undefined,
  });
}

function classEmbedding(
  parsed: {
    readonly class_embed_type?: string | null | undefined;
    readonly num_class_embeds?: number | null | undefined;
    readonly projection_class_embeddings_input_dim?: number | null | undefined;
  },
  path: string,
): ClassEmbeddingConfig | null {
  const { class_embed_type: type, num_class_embeds: size } = parsed;
  if (type === 'timestep' || type === 'identity') return { type };
  if (type === 'projection') {
    const input = parsed.projection_class_embeddings_input_dim;
    if (!input)
      throw unsupported(
        path,
        'projection_class_embeddings_input_dim',
        input ?? null,
        'projection requires it',
      );
    return { type, size: input };
  }
  return size ? { type: 'table', size } : null;
}
