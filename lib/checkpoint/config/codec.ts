/**
 * Fields that the configs of all autoencoders share: diffusers' `config.json`, and `ddconfig` of taming's and CompVis'
 * YAML.
 */
import { SafelightError } from '../../errors.js';
import type { ModelConfig } from './omegaconf/model-config.js';
import type { CodecConfig } from './types.js';
import { requireMultiple, unsupported } from './validate.js';

/** The eps of every norm in these autoencoders, which no config states. */
export const AUTOENCODER_NORM_EPS = 1e-6;
/** The number of norm groups in taming's and CompVis' autoencoders, which only diffusers' configs state. */
export const AUTOENCODER_NORM_GROUPS = 32;

const MAX_CHANNELS = 16384;
const MAX_LEVELS = 12;

/** Returns for each level whether its block type is the one with attention (diffusers' block names). */
export function attendingBlocks(
  types: readonly string[] | null | undefined,
  attending: string,
  levels: number,
): boolean[] {
  return Array.from({ length: levels }, (_, i) => types?.[i] === attending);
}

/** Checks that there is one block type per level. @throws UNSUPPORTED_MODEL */
export function requireTypePerLevel(
  types: readonly string[] | null | undefined,
  field: string,
  levels: number,
  path: string,
): void {
  if (types && types.length !== levels)
    throw unsupported(path, field, types, `expected one value per level (${levels})`);
}

/** Checks the divisibility of channels by norm groups. @throws UNSUPPORTED_MODEL */
export function checkCodec(config: CodecConfig, path: string): void {
  for (const side of config.block_out_channels) {
    requireMultiple(
      side,
      config.norm_num_groups,
      'block_out_channels must be multiples of norm_num_groups',
      path,
    );
  }
}

/**
 * Reads `ddconfig` (taming.modules.diffusionmodules.model, ldm.modules.diffusionmodules.model).
 * @throws INVALID_FILE for fields that are missing, of a wrong type or out of range; UNSUPPORTED_MODEL for unsupported
 *   features
 */
export function readDdConfig(params: ModelConfig): CodecConfig & { readonly doubleZ: boolean } {
  const dd = params.section('ddconfig') ?? params.fail('ddconfig', 'expected a mapping, found nothing');
  refuseOptions(dd);
  const count = { min: 1, max: MAX_CHANNELS };
  const multipliers = dd.getInts('ch_mult', [1, 2, 4, 8], { min: 1, max: 1024 });
  if (multipliers.length < 1 || multipliers.length > MAX_LEVELS)
    dd.fail('ch_mult', `expected 1 to ${MAX_LEVELS} levels, found ${multipliers.length}`);
  const ch = dd.getInt<never>('ch', undefined, count);
  const channels = multipliers.map((multiplier) => ch * multiplier);
  const widest = Math.max(...channels);
  if (widest > MAX_CHANNELS)
    dd.fail('ch_mult', `expected at most ${MAX_CHANNELS} channels per level, found ${widest}`);
  const config = {
    in_channels: dd.getInt<never>('in_channels', undefined, { min: 1, max: 4096 }),
    out_channels: dd.getInt<never>('out_ch', undefined, { min: 1, max: 4096 }),
    z_channels: dd.getInt<never>('z_channels', undefined, { min: 1, max: 4096 }),
    block_out_channels: channels,
    layers_per_block: dd.getInt<never>('num_res_blocks', undefined, { min: 1, max: 16 }),
    norm_num_groups: AUTOENCODER_NORM_GROUPS,
    norm_eps: AUTOENCODER_NORM_EPS,
    ...attention(dd, multipliers.length),
    doubleZ: dd.getBoolean('double_z', true),
  };
  checkCodec(config, dd.where);
  return config;
}

/**
 * Determines the levels that attend. The reference compares `attn_resolutions` with the side length that a level's map
 * has for the nominal `resolution`, not for the actual input: halved and rounded down per level in the encoder, doubled
 * from the smallest in the decoder.
 */
function attention(
  dd: ModelConfig,
  levels: number,
): Pick<CodecConfig, 'mid_attention' | 'down_attention' | 'up_attention'> {
  const resolution = dd.getInt<never>('resolution', undefined, { min: 1, max: 1 << 20 });
  const at = dd.getInts<never>('attn_resolutions', undefined, { min: 0 });
  const type = dd.getString('attn_type', dd.getBoolean('use_linear_attn', false) ? 'linear' : 'vanilla');
  if (type !== 'vanilla' && type !== 'none' && type !== 'vanilla-xformers')
    throw unsupported(dd.where, 'ddconfig.attn_type', type, 'use a model with vanilla attention or none');
  const attends = (side: number): boolean => type !== 'none' && at.includes(side);
  const smallest = Math.floor(resolution / 2 ** (levels - 1));
  return {
    mid_attention: type !== 'none',
    down_attention: Array.from({ length: levels }, (_, i) => attends(Math.floor(resolution / 2 ** i))),
    up_attention: Array.from({ length: levels }, (_, i) => attends(smallest * 2 ** i)),
  };
}

/** Rejects options of the reference that no published model uses. */
function refuseOptions(dd: ModelConfig): void {
  const supported = { resamp_with_conv: true, tanh_out: false, give_pre_end: false } as const;
  for (const [field, value] of Object.entries(supported)) {
    if (dd.getBoolean(field, value) !== value)
      throw unsupported(dd.where, `ddconfig.${field}`, !value, `only ${value} is supported`);
  }
}

/** Returns the class name of a `target`: forks keep the class under their own module paths. */
export function classOf(target: string): string {
  return target.slice(target.lastIndexOf('.') + 1);
}

/** Returns the error of a config that the reference could not have loaded with this model either. */
export function inconsistent(path: string, what: string): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `${path}: ${what}; the config does not belong to this model`,
  );
}
