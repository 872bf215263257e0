/** Detects the encoder and decoder of an autoencoder from its tensors. Expects canonical names. */
import { SafelightError } from '../../../errors.js';
import { countIndices } from '../../naming/naming.js';
import type { ComponentWeights } from '../../weights/component.js';
import { AUTOENCODER_NORM_EPS, AUTOENCODER_NORM_GROUPS } from '../codec.js';
import type { CodecConfig } from '../types.js';

/** The native code's limit. */
const MAX_LEVELS = 12;

/**
 * Detects all fields but the groups and eps of the norms, which are the same in all published models. Levels whose
 * tensors include attention have it, so the resolution of the training config is not needed.
 * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL
 */
export function detectCodec(weights: ComponentWeights): CodecConfig {
  const names = [...weights.parameters.keys()];
  const has = (prefix: string): boolean => names.some((name) => name.startsWith(prefix));
  const levels = Math.max(
    1,
    countIndices(names, 'encoder.down_blocks.').end,
    countIndices(names, 'decoder.up_blocks.').end,
  );
  if (levels > MAX_LEVELS) throw unsupportedCodec(weights, `it has ${levels} levels`);
  const each = <T>(of: (level: number) => T): T[] => Array.from({ length: levels }, (_, level) => of(level));
  return {
    in_channels: weights.shape('encoder.conv_in.weight', 4)[1] ?? 0,
    out_channels: weights.shape('decoder.conv_out.weight', 4)[0] ?? 0,
    z_channels: weights.shape('decoder.conv_in.weight', 4)[1] ?? 0,
    block_out_channels: each(
      (i) => weights.shape(`encoder.down_blocks.${i}.resnets.0.conv1.weight`, 4)[0] ?? 0,
    ),
    layers_per_block: Math.max(
      1,
      countIndices(names, 'encoder.down_blocks.0.resnets.').end,
      countIndices(names, 'decoder.up_blocks.0.resnets.').end - 1,
    ),
    norm_num_groups: AUTOENCODER_NORM_GROUPS,
    norm_eps: AUTOENCODER_NORM_EPS,
    mid_attention: has('encoder.mid_block.attentions.') || has('decoder.mid_block.attentions.'),
    down_attention: each((i) => has(`encoder.down_blocks.${i}.attentions.`)),
    up_attention: each((i) => has(`decoder.up_blocks.${i}.attentions.`)),
  };
}

/** Returns the error of an autoencoder whose tensors match no supported structure. */
export function unsupportedCodec(weights: ComponentWeights, what: string): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `The autoencoder of ${weights.where} is not supported: ${what}; use one of Stable Diffusion, latent diffusion or VQGAN`,
  );
}
