/** Reads the training losses of an autoencoder: `lossconfig` of taming's and CompVis' YAML. */
import { invalidOption } from '../../../errors.js';
import { classOf } from '../codec.js';
import type { ModelConfig } from './model-config.js';

/** Training losses of an autoencoder, with the reference's field names; defaults are those of its constructors. */
export interface LossConfig {
  /** `vq`: VQLPIPSWithDiscriminator of taming or CompVis; `kl`: LPIPSWithDiscriminator of CompVis. */
  kind: 'vq' | 'kl';
  /** The training step from which on the discriminator loss is used. */
  disc_start: number;
  disc_factor: number;
  disc_weight: number;
  disc_loss: 'hinge' | 'vanilla';
  /** True if the discriminator also receives the condition. */
  disc_conditional: boolean;
  pixel_loss: 'l1' | 'l2';
  perceptual_weight: number;
  codebook_weight: number;
  kl_weight: number;
  /** True for the older commitment term, in which `beta` weights the other part (`VectorQuantizer2`'s `legacy`). */
  legacy: boolean;
  /** Weight of the commitment term. */
  beta: number;
  /** Weight of the divergence from the uniform distribution, for Gumbel quantization. */
  gumbel_kl_weight: number;
}

const DEFAULTS: LossConfig = {
  kind: 'vq',
  disc_start: 0,
  disc_factor: 1,
  disc_weight: 1,
  disc_loss: 'hinge',
  disc_conditional: false,
  pixel_loss: 'l1',
  perceptual_weight: 1,
  codebook_weight: 1,
  kl_weight: 1,
  legacy: true,
  beta: 0.25,
  gumbel_kl_weight: 1e-8,
};

/** Returns the losses with which models of this kind are most likely trained, for checkpoints without a config. */
export function usualLosses(kind: LossConfig['kind']): LossConfig {
  if (kind !== 'vq' && kind !== 'kl') throw invalidOption('kind', 'vq or kl', kind);
  return { ...DEFAULTS, kind };
}

/**
 * @param params `params` of the autoencoder
 * @returns null if the config names no loss with a discriminator, for example for the first stage of a larger model
 * @throws INVALID_FILE
 */
export function readLossConfig(params: ModelConfig): LossConfig | null {
  const section = params.section('lossconfig');
  if (section === null) return null;
  const name = classOf(section.getString('target', ''));
  const kind = name === 'LPIPSWithDiscriminator' ? 'kl' : name.startsWith('VQLPIPS') ? 'vq' : null;
  const loss = section.section('params');
  if (kind === null || loss === null) return null;
  const choice = <T extends string>(field: string, choices: readonly T[], fallback: T): T =>
    choices.find((choice) => choice === loss.getString(field, fallback)) ??
    loss.fail(field, `expected ${choices.join(' or ')}, found ${loss.getString(field, fallback)}`);
  return {
    kind,
    disc_start: loss.getInt('disc_start', DEFAULTS.disc_start),
    disc_factor: loss.getNumber('disc_factor', DEFAULTS.disc_factor),
    disc_weight: loss.getNumber('disc_weight', DEFAULTS.disc_weight),
    disc_loss: choice('disc_loss', ['hinge', 'vanilla'], DEFAULTS.disc_loss),
    disc_conditional: loss.getBoolean('disc_conditional', DEFAULTS.disc_conditional),
    pixel_loss: choice('pixel_loss', ['l1', 'l2'], DEFAULTS.pixel_loss),
    perceptual_weight: loss.getNumber('perceptual_weight', DEFAULTS.perceptual_weight),
    codebook_weight: loss.getNumber('codebook_weight', DEFAULTS.codebook_weight),
    kl_weight: loss.getNumber('kl_weight', DEFAULTS.kl_weight),
    legacy: params.getBoolean('legacy', DEFAULTS.legacy),
    beta: params.getNumber('beta', DEFAULTS.beta),
    gumbel_kl_weight: params.getNumber('kl_weight', DEFAULTS.gumbel_kl_weight),
  };
}
