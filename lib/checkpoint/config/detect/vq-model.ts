/** Detects the config of an autoencoder with a codebook from its tensors. Expects canonical names. */

import type { LatentScale } from '../../components.js';
import type { ComponentWeights } from '../../weights/component.js';
import { checkCodec } from '../codec.js';
import type { VQModelConfig } from '../types.js';
import { detectCodec, unsupportedCodec } from './codec.js';

/** Returns true if the tensors are of an autoencoder with a codebook. */
export function hasCodebook({ parameters }: ComponentWeights): boolean {
  return parameters.has('quantize.embedding.weight') || parameters.has('quantize.embed.weight');
}

/** @param scale the latent scale, which the tensors do not determine */
export function detectVQModelConfig(weights: ComponentWeights, scale: LatentScale): VQModelConfig {
  const codec = detectCodec(weights);
  const gumbel = weights.parameters.has('quantize.embed.weight');
  const [codes = 0, width = 0] = weights.shape(`quantize.${gumbel ? 'embed' : 'embedding'}.weight`, 2);
  const [encoded = 0] = weights.shape('encoder.conv_out.weight', 4);
  if (encoded !== codec.z_channels)
    throw unsupportedCodec(
      weights,
      `its encoder has ${encoded} output channels but its decoder has ${codec.z_channels} input channels`,
    );
  const config: VQModelConfig = {
    ...codec,
    num_vq_embeddings: codes,
    vq_embed_dim: width,
    quantizer: gumbel ? 'gumbel' : 'nearest',
    scaling_factor: scale.scaling_factor,
  };
  checkCodec(config, weights.where);
  return config;
}
