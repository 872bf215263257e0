/** Reads transformers' `T5Config` as `T5EncoderConfig`. Defaults are those of transformers 5.23. */
import { z } from 'zod';
import type { T5EncoderConfig } from '../types.js';
import {
  type ConfigFields,
  checkConfig,
  count,
  epsilon,
  requireFeatures,
  unsupported,
  width,
} from '../validate.js';

const FEATURES = {
  model_type: ['t5'],
  architectures: ['T5EncoderModel', 'T5Model', 'T5ForConditionalGeneration', 'T5WithLMHeadModel'],
} as const;

/** Fields derived from `feed_forward_proj` that some files also contain. */
const GATED_GELU = { dense_act_fn: ['gelu_new'], is_gated_act: [true] } as const;

const schema = z.lazy(() =>
  z.object({
    vocab_size: z
      .int()
      .min(1)
      .max(2 ** 24)
      .default(32128),
    d_model: width.default(512),
    d_kv: z.int().min(1).max(4096).default(64),
    d_ff: z
      .int()
      .min(1)
      .max(2 ** 18)
      .default(2048),
    num_layers: z.int().min(1).max(256).default(6),
    num_heads: count.default(8),
    relative_attention_num_buckets: z.int().min(4).max(65536).default(32),
    relative_attention_max_distance: z
      .int()
      .min(2)
      .max(2 ** 20)
      .default(128),
    layer_norm_epsilon: epsilon.default(1e-6),
    feed_forward_proj: z.string().default('relu'),
  }),
);

/**
 * @throws INVALID_FILE for values of a wrong type or range, UNSUPPORTED_MODEL for unsupported features, such as the
 *   ReLU of T5 before v1.1
 */
export function readT5Config(fields: ConfigFields, path: string): T5EncoderConfig {
  requireFeatures(fields, FEATURES, path);
  const { feed_forward_proj: projection, ...parsed } = checkConfig(schema, fields, path);
  if (projection !== 'gated-gelu')
    throw unsupported(path, 'feed_forward_proj', projection, 'use a model of T5 v1.1 (gated-gelu)');
  requireFeatures(fields, GATED_GELU, path);
  return { ...parsed, feed_forward_proj: projection };
}
