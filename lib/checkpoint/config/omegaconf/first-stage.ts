/** Reads autoencoders from taming's and CompVis' YAML: a section with `target` (a class) and `params`. */

import type { LatentScale } from '../../components.js';
import { classOf, inconsistent, readDdConfig } from '../codec.js';
import { completeAutoencoderConfig } from '../diffusers/autoencoder.js';
import type { AutoencoderConfig, UnknownIndex, VQModelConfig } from '../types.js';
import { unsupported } from '../validate.js';
import { type LossConfig, readLossConfig } from './losses.js';
import type { ModelConfig } from './model-config.js';

export type FirstStageConfig =
  | {
      readonly kind: 'vq_model';
      readonly config: VQModelConfig;
      /** True if the config specifies a table of used codes, which the checkpoint then contains. */
      readonly remapped: boolean;
      readonly unknownIndex: UnknownIndex;
      readonly losses: LossConfig | null;
    }
  | {
      readonly kind: 'autoencoder_kl';
      readonly config: AutoencoderConfig;
      readonly losses: LossConfig | null;
    };

const NEAREST = ['VQModel', 'VQModelInterface', 'VQSegmentationModel', 'VQNoDiscModel', 'EMAVQ'];
const GUMBEL = ['GumbelVQ'];
const KL = ['AutoencoderKL'];

/** Returns true if a `target` names an autoencoder that `readFirstStageConfig` supports. */
export function isFirstStage(target: string): boolean {
  return [...NEAREST, ...GUMBEL, ...KL].includes(classOf(target));
}

/**
 * @param section with `target` and `params`: a config's `model`, `first_stage_config` or `cond_stage_config`
 * @param scale latent scale, which the config of the surrounding model states
 * @throws INVALID_FILE, UNSUPPORTED_MODEL
 */
export function readFirstStageConfig(section: ModelConfig, scale: LatentScale): FirstStageConfig {
  const target = section.getString('target');
  if (!isFirstStage(target))
    throw unsupported(section.where, 'target', target, 'use a VQ, Gumbel or KL autoencoder');
  const params = section.section('params') ?? section.fail('params', 'expected a mapping, found nothing');
  const { doubleZ, ...codec } = readDdConfig(params);
  const embed = params.getInt<never>('embed_dim', undefined, { min: 1, max: 16384 });
  const losses = readLossConfig(params);
  if (KL.includes(classOf(target))) {
    if (!doubleZ) throw inconsistent(section.where, 'double_z is false for a KL autoencoder');
    const config = completeAutoencoderConfig(
      { ...codec, latent_channels: embed, use_quant_conv: true, use_post_quant_conv: true, ...scale },
      section.where,
    );
    return { kind: 'autoencoder_kl', config, losses };
  }
  if (doubleZ) throw inconsistent(section.where, 'double_z is true for a model with a codebook');
  const gumbel = GUMBEL.includes(classOf(target));
  if (gumbel && embed !== codec.z_channels)
    throw inconsistent(section.where, `embed_dim (${embed}) differs from z_channels (${codec.z_channels})`);
  return {
    kind: 'vq_model',
    config: {
      ...codec,
      num_vq_embeddings: params.getInt<never>('n_embed', undefined, { min: 1, max: 1 << 22 }),
      vq_embed_dim: embed,
      quantizer: gumbel ? 'gumbel' : 'nearest',
      scaling_factor: scale.scaling_factor,
    },
    remapped: params.has('remap'),
    unknownIndex: readUnknownIndex(params),
    losses,
  };
}

function readUnknownIndex(params: ModelConfig): UnknownIndex {
  const value = params.get('unknown_index') ?? 'random';
  if (value === 'random' || value === 'extra') return value;
  return params.getInt<never>('unknown_index', undefined, { min: 0, max: 1 << 22 });
}
