/** Detects the config of a CLIP text encoder from its tensors. Expects canonical names. */

import { countIndices } from '../../naming/naming.js';
import type { ComponentWeights } from '../../weights/component.js';
import { completeTextEncoderConfig } from '../diffusers/text-encoder.js';
import type { TextEncoderConfig } from '../types.js';

/**
 * Detects the config; head width and activation follow from the kind: heads are 64 wide in every CLIP, OpenAI's has the
 * quick GELU, OpenCLIP the exact GELU.
 * @param pooled true if the pooled output, and therefore its projection, is used
 */
export function detectTextEncoderConfig(
  weights: ComponentWeights,
  kind: 'clip' | 'openclip',
  pooled: boolean,
): TextEncoderConfig {
  const [vocabulary = 0, side = 0] = weights.shape('text_model.embeddings.token_embedding.weight', 2);
  const [positions = 0] = weights.shape('text_model.embeddings.position_embedding.weight', 2);
  const [hidden = 0] = weights.shape('text_model.encoder.layers.0.mlp.fc1.weight', 2);
  const layers = countIndices(weights.parameters.keys(), 'text_model.encoder.layers.');
  if (layers.gap) weights.parameter(`text_model.encoder.layers.${layers.count}.layer_norm1.weight`);
  return completeTextEncoderConfig(
    {
      vocab_size: vocabulary,
      hidden_size: side,
      intermediate_size: hidden,
      num_hidden_layers: layers.count,
      num_attention_heads: Math.max(1, Math.floor(side / 64)),
      max_position_embeddings: positions,
      hidden_act: kind === 'clip' ? 'quick_gelu' : 'gelu',
      layer_norm_eps: 1e-5,
      projection_dim: pooled ? (weights.shape('text_projection.weight', 2)[0] ?? 0) : 0,
    },
    weights.where,
  );
}
