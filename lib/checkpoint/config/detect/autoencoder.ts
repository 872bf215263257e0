/** Detects the config of a KL autoencoder from its tensors. Expects canonical names. */
import type { ComponentWeights } from '../../weights/component.js';
import { completeAutoencoderConfig } from '../diffusers/autoencoder.js';
import type { AutoencoderConfig } from '../types.js';
import { detectCodec, unsupportedCodec } from './codec.js';

/** @param scale the latent scale, which the tensors do not determine */
export function detectAutoencoderConfig(
  weights: ComponentWeights,
  scale: Pick<AutoencoderConfig, 'scaling_factor' | 'shift_factor'>,
): AutoencoderConfig {
  for (const name of weights.tensors.keys()) {
    if (/(^|\.)quantize\.(embedding|embed|proj)\b/.test(name) && weights.used.has(name))
      throw unsupportedCodec(weights, `"${name}" belongs to a codebook (VQ)`);
  }
  const codec = detectCodec(weights);
  // Either tensor suffices: if only one exists, the other is then reported as missing by name.
  const has = (place: string): boolean =>
    ['weight', 'bias'].some((part) => weights.parameters.has(`${place}.${part}`));
  const [moments = 0] = weights.shape('encoder.conv_out.weight', 4);
  if (moments !== 2 * codec.z_channels)
    throw unsupportedCodec(
      weights,
      `its encoder has ${moments} output channels, expected ${2 * codec.z_channels} (means and variances of ${codec.z_channels})`,
    );
  const embedded = has('quant_conv') ? (weights.shape('quant_conv.weight', 4)[0] ?? 0) : moments;
  if (embedded % 2 !== 0)
    throw unsupportedCodec(
      weights,
      `its quant_conv has ${embedded} output channels, expected an even number`,
    );
  return completeAutoencoderConfig(
    {
      ...codec,
      latent_channels: embedded / 2,
      use_quant_conv: has('quant_conv'),
      use_post_quant_conv: has('post_quant_conv'),
      ...scale,
    },
    weights.where,
  );
}
