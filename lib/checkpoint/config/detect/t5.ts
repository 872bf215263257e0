/** Detects the config of a T5 encoder from its tensors. Expects canonical names. */
import { SafelightError } from '../../../errors.js';
import { countIndices } from '../../naming/naming.js';
import type { ComponentWeights } from '../../weights/component.js';
import type { T5EncoderConfig } from '../types.js';

const BLOCKS = 'encoder.block.';
const ATTENTION = 'layer.0.SelfAttention';

/** Constants of every published T5 that the tensors do not determine. */
const MAX_DISTANCE = 128;
const EPSILON = 1e-6;

/** @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL for T5 before v1.1 and for UMT5 */
export function detectT5Config(weights: ComponentWeights): T5EncoderConfig {
  for (const name of weights.tensors.keys())
    if (/\bblock\.0\.layer\.1\.DenseReluDense\.wi\.weight$/.test(name))
      throw unsupported(weights, 'a T5 with ReLU (before v1.1)');
  if (weights.parameters.has(`${BLOCKS}1.${ATTENTION}.relative_attention_bias.weight`))
    throw unsupported(weights, 'a UMT5 (a position bias in every layer)');
  const [vocabulary = 0, side = 0] = weights.shape('shared.weight', 2);
  const [inner = 0] = weights.shape(`${BLOCKS}0.${ATTENTION}.q.weight`, 2);
  const [buckets = 0, heads = 0] = weights.shape(`${BLOCKS}0.${ATTENTION}.relative_attention_bias.weight`, 2);
  const [hidden = 0] = weights.shape(`${BLOCKS}0.layer.1.DenseReluDense.wi_0.weight`, 2);
  const layers = countIndices(weights.parameters.keys(), BLOCKS);
  if (layers.gap) weights.parameter(`${BLOCKS}${layers.count}.layer.0.layer_norm.weight`);
  return {
    vocab_size: vocabulary,
    d_model: side,
    d_kv: Math.max(1, Math.floor(inner / Math.max(1, heads))),
    d_ff: hidden,
    num_layers: layers.count,
    num_heads: heads,
    relative_attention_num_buckets: buckets,
    relative_attention_max_distance: MAX_DISTANCE,
    layer_norm_epsilon: EPSILON,
    feed_forward_proj: 'gated-gelu',
  };
}

function unsupported(weights: ComponentWeights, what: string): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `${weights.where} contains ${what}, which is not supported; use a model of T5 v1.1`,
  );
}
