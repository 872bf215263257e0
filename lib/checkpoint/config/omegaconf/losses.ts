/** How an autoencoder was trained, as far as its losses say: `lossconfig` of taming's and CompVis' YAML. */
import { invalidOption } from '../../../errors.js';
import { classOf } from '../codec.js';
import type { ModelConfig } from './model-config.js';

/** Fields by the reference's own names; defaults are those of its constructors. */
export interface LossConfig {
  /**
   * `vq`: VQLPIPSWithDiscriminator of taming or CompVis; `kl`: LPIPSWithDiscriminator of CompVis.
   */
  kind: 'vq' | 'kl';
  /** The step from which on the discriminator counts. */
  disc_start: number;
  disc_factor: number;
  disc_weight: number;
  disc_loss: 'hinge' | 'vanilla';
  /** Whether the discriminator sees the condition beside the picture. */
  disc_conditional: boolean;
  pixel_loss: 'l1' | 'l2';
  perceptual_weight: number;
  codebook_weight: number;
  kl_weight: number;
  /** Of the commitment term, the older form that weighs the other one (`VectorQuantizer2`'s `legacy`). */
  legacy: boolean;
  /** Weight of that term. */
  beta: number;
  /** Of the Gumbel kind: weight of the divergence from the uniform distribution. */
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

/** What a checkpoint without a config was most likely trained with. */
export function usualLosses(kind: LossConfig['kind']): LossConfig {
  if (kind !== 'vq' && kind !== 'kl') throw invalidOption('kind', 'vq or kl', kind);
  return { ...DEFAULTS, kind };
}

/**
 * @param params of the autoencoder
 * @returns null where the config names no loss with a discriminator, as inside a larger model
 * @throws INVALID_FILE
 */
export function readLossConfig(params: ModelConfig): LossConfig | null {
  const section = params.section('lossconfig');
  if (section === null) return null;
  const name = classOf(section.getString('target', ''));
  const kind = name === 'LPIPSWithDiscriminator' ? 'kl' : name.startsWith('VQLPIPS') ? 'vq' : null;
  const own = section.section('params');
  if (kind === null || own === null) return null;
  const one = <T extends string>(field: string, choices: readonly T[], fallback: T): T =>
    choices.find((choice) => choice === own.getString(field, fallback)) ??
    own.fail(field, `expected ${choices.join(' or ')} but found ${own.getString(field, fallback)}`);
  return {
    kind,
    disc_start: own.getInt('disc_start', DEFAULTS.disc_start),
    disc_factor: own.getNumber('disc_factor', DEFAULTS.disc_factor),
    disc_weight: own.getNumber('disc_weight', DEFAULTS.disc_weight),
    disc_loss: one('disc_loss', ['hinge', 'vanilla'], DEFAULTS.disc_loss),
    disc_conditional: own.getBoolean('disc_conditional', DEFAULTS.disc_conditional),
    pixel_loss: one('pixel_loss', ['l1', 'l2'], DEFAULTS.pixel_loss),
    perceptual_weight: own.getNumber('perceptual_weight', DEFAULTS.perceptual_weight),
    codebook_weight: own.getNumber('codebook_weight', DEFAULTS.codebook_weight),
    kl_weight: own.getNumber('kl_weight', DEFAULTS.kl_weight),
    legacy: params.getBoolean('legacy', DEFAULTS.legacy),
    beta: params.getNumber('beta', DEFAULTS.beta),
    gumbel_kl_weight: params.getNumber('kl_weight', DEFAULTS.gumbel_kl_weight),
  };
}
