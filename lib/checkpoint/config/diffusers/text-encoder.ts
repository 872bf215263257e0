/**
 * Reads transformers' `CLIPTextConfig` (versions 4 and 5) as `TextEncoderConfig`. Defaults are those of transformers
 * 5.23.
 */
import { z } from 'zod';
import type { TextEncoderConfig } from '../types.js';
import {
  type ConfigFields,
  checkConfig,
  count,
  epsilon,
  requireFeatures,
  requireMultiple,
  width,
} from '../validate.js';

const FEATURES = {
  model_type: ['clip_text_model', 'clip'],
  architectures: ['CLIPTextModel', 'CLIPTextModelWithProjection', 'CLIPModel'],
  hidden_act: ['quick_gelu', 'gelu'],
} as const;

const schema = z.lazy(() =>
  z.object({
    vocab_size: z
      .int()
      .min(1)
      .max(2 ** 24)
      .default(49408),
    hidden_size: width.default(512),
    intermediate_size: z
      .int()
      .min(1)
      .max(2 ** 20)
      .default(2048),
    num_hidden_layers: count.default(12),
    num_attention_heads: count.default(8),
    max_position_embeddings: z.int().min(2).max(65536).default(77),
    hidden_act: z.enum(['quick_gelu', 'gelu']).default('quick_gelu'),
    layer_norm_eps: epsilon.nullish(),
    projection_dim: z.int().min(0).max(65536).nullish(),
  }),
);

/**
 * @param projected true if the pooled output is projected; the config of a CLIPTextModel has a projection width in any
 *   case
 * @throws INVALID_FILE for values of a wrong type or range, UNSUPPORTED_MODEL for unsupported features
 */
export function readTextEncoderConfig(
  fields: ConfigFields,
  path: string,
  projected: boolean,
): TextEncoderConfig {
  requireFeatures(fields, FEATURES, path);
  // The config of a complete CLIPModel has the text encoder's fields under `text_config`.
  const nested = checkConfig(z.record(z.string(), z.unknown()).nullish(), fields.text_config, path);
  const textFields = fields.model_type === 'clip' && nested ? nested : fields;
  requireFeatures(textFields, FEATURES, path);
  const parsed = checkConfig(schema, textFields, path);
  return completeTextEncoderConfig(
    {
      vocab_size: parsed.vocab_size,
      hidden_size: parsed.hidden_size,
      intermediate_size: parsed.intermediate_size,
      num_hidden_layers: parsed.num_hidden_layers,
      num_attention_heads: parsed.num_attention_heads,
      max_position_embeddings: parsed.max_position_embeddings,
      hidden_act: parsed.hidden_act,
      layer_norm_eps: parsed.layer_norm_eps ?? 1e-5,
      projection_dim: projected ? (parsed.projection_dim ?? 512) : 0,
    },
    path,
  );
}

export function completeTextEncoderConfig(config: TextEncoderConfig, path: string): TextEncoderConfig {
  requireMultiple(
    config.hidden_size,
    config.num_attention_heads,
    'hidden_size must be a multiple of num_attention_heads',
    path,
  );
  return config;
}
