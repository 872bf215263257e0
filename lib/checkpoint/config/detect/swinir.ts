/** Detects the config of SwinIR from its tensors. Expects canonical names. */
import { SafelightError } from '../../../errors.js';
import { countIndices } from '../../naming/naming.js';
import type { ComponentWeights } from '../../weights/component.js';
import type { SwinIRConfig } from '../upscaler-types.js';
import { detectReconstruction } from './reconstruction.js';

const FIRST = 'layers.0.residual_group.blocks.0';

/**
 * @param unshuffled true if the first convolution reads rearranged pixels, which its name in the file tells
 * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL
 */
export function detectSwinIRConfig(weights: ComponentWeights, unshuffled: boolean): SwinIRConfig {
  const names = [...weights.parameters.keys()];
  if (weights.tensors.has('absolute_pos_embed'))
    throw unsupported(weights, 'an absolute position embedding, which limits it to one image size');
  const [embed_dim = 0, read = 0] = weights.shape('conv_first.weight', 4);
  const unshuffle = unshuffled ? Math.round(Math.sqrt(Math.floor(read / 3))) : 1;
  const in_channels = read / unshuffle ** 2;
  const { count } = countIndices(names, 'layers.');
  const groups = Array.from({ length: count }, (_, i) => `layers.${i}.residual_group.blocks.`);
  const table = (prefix: string) => weights.shape(`${prefix}attn.relative_position_bias_table`, 2);
  const [differences = 0] = table(`${FIRST}.`);
  const window_size = (Math.sqrt(differences) + 1) / 2;
  const [mlp_dim = 0] = weights.shape(`${FIRST}.mlp.fc1.weight`, 2);
  if (!Number.isInteger(window_size) || !Number.isInteger(in_channels))
    throw unsupported(weights, `${differences} position biases and ${read} input channels`);
  const reconstruction = detectReconstruction(weights, in_channels);
  return {
    ...reconstruction,
    in_channels,
    embed_dim,
    depths: groups.map((prefix) => countIndices(names, prefix).count),
    num_heads: groups.map((prefix) => table(`${prefix}0.`)[1] ?? 0),
    ...{ window_size, mlp_dim, unshuffle },
    qkv_bias: weights.parameters.has(`${FIRST}.attn.qkv.bias`),
    // The models that remove JPEG artifacts, the only ones with windows of 7 pixels.
    img_range: window_size === 7 ? 255 : 1,
    three_convs: !weights.parameters.has('conv_after_body.weight'),
  };
}

function unsupported({ where }: ComponentWeights, what: string): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `${where} is a SwinIR model with ${what}, which is not supported; use another model`,
  );
}
