/** The config of a KL autoencoder from its tensors alone. Works on canonical names. */
import { SafelightError } from '../errors.js';
import type { ComponentWeights } from '../weights/component.js';
import { countPlaces } from '../weights/naming/naming.js';
import type { AutoencoderConfig } from './config.js';
import { AUTOENCODER_NORM_EPS, completeAutoencoderConfig } from './config-autoencoder.js';

/** As many as C++ takes. */
const MAX_LEVELS = 12;

/** @param scale what the tensors do not say: how the sampler sees latents */
export function detectAutoencoderConfig(
  weights: ComponentWeights,
  scale: Pick<AutoencoderConfig, 'scaling_factor' | 'shift_factor'>,
): AutoencoderConfig {
  refuseOtherKinds(weights);
  const names = [...weights.parameters.keys()];
  const has = (prefix: string): boolean => names.some((name) => name.startsWith(prefix));
  const levels = Math.max(
    1,
    countPlaces(names, 'encoder.down_blocks.').end,
    countPlaces(names, 'decoder.up_blocks.').end,
  );
  if (levels > MAX_LEVELS) throw odd(weights, `it has ${levels} levels`);
  const layers = Math.max(
    1,
    countPlaces(names, 'encoder.down_blocks.0.resnets.').end,
    countPlaces(names, 'decoder.up_blocks.0.resnets.').end - 1,
  );
  const sides = Array.from(
    { length: levels },
    (_, i) => weights.shape(`encoder.down_blocks.${i}.resnets.0.conv1.weight`, 4)[0] ?? 0,
  );
  const [moments = 0] = weights.shape('encoder.conv_out.weight', 4);
  const [, latent = 0] = weights.shape('decoder.conv_in.weight', 4);
  if (moments !== 2 * latent)
    throw odd(
      weights,
      `its encoder gives ${moments} numbers where a mean and a variance of ${latent} are expected`,
    );
  if (has('quant_conv.')) {
    const [embedded] = weights.shape('quant_conv.weight', 4);
    if (embedded !== moments)
      throw odd(weights, `its latents are ${(embedded ?? 0) / 2} wide but its codec ${latent}`);
  }
  return completeAutoencoderConfig(
    {
      in_channels: weights.shape('encoder.conv_in.weight', 4)[1] ?? 0,
      out_channels: weights.shape('decoder.conv_out.weight', 4)[0] ?? 0,
      latent_channels: latent,
      block_out_channels: sides,
      layers_per_block: layers,
      norm_num_groups: 32,
      norm_eps: AUTOENCODER_NORM_EPS,
      mid_attention: has('encoder.mid_block.attentions.') || has('decoder.mid_block.attentions.'),
      use_quant_conv: has('quant_conv.'),
      use_post_quant_conv: has('post_quant_conv.'),
      ...scale,
    },
    weights.where,
  );
}

/** Tensors that only other autoencoders have. */
function refuseOtherKinds(weights: ComponentWeights): void {
  for (const name of weights.tensors.keys()) {
    if (/(^|\.)quantize\.(embedding|embed|proj)\b/.test(name))
      throw odd(weights, `"${name}" is of a codebook (VQ)`);
    if (/\.(down|up)\.\d+\.attn\.\d+\./.test(name) || /\.(down|up)_blocks\.\d+\.attentions\./.test(name)) {
      if (/(^|\.)(encoder|decoder)\./.test(name))
        throw odd(weights, `"${name}" is attention outside the middle`);
    }
  }
}

function odd(weights: ComponentWeights, what: string): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `The autoencoder of ${weights.where} is none that Safelight runs: ${what}; take a KL autoencoder of Stable Diffusion`,
  );
}
