/**
 * `safelight.config`: JSON in the metadata of a GGUF file with what tensors do not determine. The modules' configs have
 * the types of `types.ts`, so a file converted from a folder keeps the folder's exact config. The file is untrusted:
 * every field is validated.
 */
import { z } from 'zod';
import { SafelightError } from '../../errors.js';
import { defaultsSchema } from '../defaults.js';
import type { GgufMetadata } from '../formats/gguf-metadata.js';
import { completeAutoencoderConfig } from './diffusers/autoencoder.js';
import { completeUNetConfig } from './diffusers/complete-unet.js';
import { completeTextEncoderConfig } from './diffusers/text-encoder.js';
import type { AutoencoderConfig, TextEncoderConfig, UNetConfig } from './types.js';
import { channels, checkConfig, count, epsilon, transformerLayers, width } from './validate.js';

export const CONFIG_KEY = 'safelight.config';
/** Version of the schema, raised when an older Safelight would misread it. */
export const CONFIG_VERSION = 1;

const side = z.number().min(-1e6).max(1e6);
const levels = <T extends z.ZodType>(value: T) => z.array(value).min(1).max(12);
const sinusoids = z.lazy(() => z.object({ time_embed_dim: channels, input_dim: width }));

const textEncoder = z.strictObject({
  vocab_size: z.int().min(1).max(10_000_000),
  hidden_size: channels,
  intermediate_size: width,
  num_hidden_layers: count,
  num_attention_heads: count,
  max_position_embeddings: z.int().min(2).max(65_536),
  hidden_act: z.enum(['quick_gelu', 'gelu']),
  layer_norm_eps: epsilon,
  projection_dim: z.int().min(0).max(65_536),
}) satisfies z.ZodType<TextEncoderConfig>;

const unet = z.strictObject({
  in_channels: channels,
  out_channels: channels,
  block_out_channels: levels(channels),
  layers_per_block: levels(z.int().min(1).max(16)),
  down_attention: levels(z.boolean()),
  up_attention: levels(z.boolean()),
  transformer_layers_per_block: levels(transformerLayers),
  num_attention_heads: levels(z.int().min(0).max(1024)),
  mid_attention: z.boolean(),
  cross_attention_dim: width,
  use_linear_projection: z.boolean(),
  norm_num_groups: count,
  norm_eps: epsilon,
  flip_sin_to_cos: z.boolean(),
  freq_shift: side,
  addition: sinusoids.nullable(),
  time_cond_proj_dim: z.int().min(4).max(16_384).exactOptional(),
  sample_size: z.int().min(1).max(65_536),
}) satisfies z.ZodType<UNetConfig>;

const autoencoder = z.strictObject({
  in_channels: channels,
  out_channels: channels,
  latent_channels: channels,
  z_channels: channels,
  block_out_channels: levels(channels),
  layers_per_block: z.int().min(1).max(16),
  norm_num_groups: count,
  norm_eps: epsilon,
  mid_attention: z.boolean(),
  down_attention: z.array(z.boolean()).min(1).max(12),
  up_attention: z.array(z.boolean()).min(1).max(12),
  use_quant_conv: z.boolean(),
  use_post_quant_conv: z.boolean(),
  scaling_factor: z.number().min(1e-6).max(1e6),
  shift_factor: side,
}) satisfies z.ZodType<AutoencoderConfig>;

const beta = z.number().gt(0).lt(1);
const scheduler = z.lazy(() =>
  z.strictObject({
    prediction: z.enum(['eps', 'v', 'x0']),
    beta_schedule: z.enum(['scaled_linear', 'linear', 'squaredcos_cap_v2']),
    beta_start: beta,
    beta_end: beta,
    num_train_timesteps: z.int().min(2).max(100_000),
    rescale_zero_snr: z.boolean(),
  }),
);

const encoder = z.lazy(() =>
  z.strictObject({
    config: textEncoder,
    kind: z.enum(['clip', 'openclip']),
    layer: z.int().min(0).max(1024),
    final_norm: z.boolean(),
    pooled: z.boolean(),
    pad_id: z
      .int()
      .min(0)
      .max(2 ** 31 - 1),
    /** N of `safelight.tokenizer.N`, or null for CLIP's standard vocabulary. */
    tokenizer: z.int().min(0).max(9).nullable(),
  }),
);

const schema = z.lazy(() =>
  z.strictObject({
    version: z.literal(CONFIG_VERSION),
    /** Null for a single component. */
    family: z.string().max(100).nullable(),
    text_encoders: z.array(encoder).max(2),
    unet: unet.nullable(),
    autoencoder: autoencoder.nullable(),
    scheduler: scheduler.nullable(),
    defaults: defaultsSchema,
    force_zeros_for_empty_prompt: z.boolean(),
    prediction_uncertain: z.boolean(),
    own_size: z.boolean(),
  }),
);

export type EmbeddedConfig = z.infer<typeof schema>;

/** @returns null if the file has no config. @throws INVALID_FILE, UNSUPPORTED_MODEL */
export function readEmbeddedConfig(metadata: GgufMetadata, path: string): EmbeddedConfig | null {
  const text = metadata.get(CONFIG_KEY);
  if (text === undefined) return null;
  const where = `${path} (${CONFIG_KEY})`;
  if (text.type !== 'string') throw damaged(where, `has the type ${text.type}, expected string`);
  let json: unknown;
  try {
    json = JSON.parse(text.value);
  } catch (error) {
    throw damaged(where, `is not valid JSON: ${(error as Error).message}`, error);
  }
  const { version } = checkConfig(z.object({ version: z.number() }), json, where);
  if (version > CONFIG_VERSION) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${where} was written by a newer Safelight (schema version ${version}); update Safelight`,
    );
  }
  const config = checkConfig(schema, json, where);
  for (const { config: textConfig, layer } of config.text_encoders) {
    completeTextEncoderConfig(textConfig, where);
    if (layer > textConfig.num_hidden_layers)
      throw damaged(
        where,
        `uses hidden state ${layer} of a text encoder with ${textConfig.num_hidden_layers} layers`,
      );
  }
  return {
    ...config,
    unet: config.unet && completeLevels(config.unet, where),
    autoencoder: config.autoencoder && completeAutoencoderConfig(config.autoencoder, where),
  };
}

function completeLevels(config: UNetConfig, where: string): UNetConfig {
  const { length } = config.block_out_channels;
  for (const [field, value] of Object.entries(config)) {
    if (Array.isArray(value) && value.length !== length)
      throw damaged(
        where,
        `has ${value.length} values for unet.${field}, expected one for each of its ${length} levels`,
      );
  }
  return completeUNetConfig(config, where);
}

export function damaged(where: string, what: string, cause?: unknown): SafelightError {
  return new SafelightError('INVALID_FILE', `${where} ${what}; convert the model again`, { cause });
}
