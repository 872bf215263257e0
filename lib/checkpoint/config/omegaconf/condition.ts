/** What a `Net2NetTransformer`'s codes are conditioned on, from taming's YAML. */

import { unsupported } from '../validate.js';
import type { ModelConfig } from './model-config.js';

export type ConditionConfig =
  /** Nothing: every sequence begins with one code. */
  | { readonly kind: 'none'; readonly start: number }
  /** A class, whose number is the first code. */
  | { readonly kind: 'class'; readonly classes: number }
  /** Where in the picture each code is: one of `codes` numbers for each `factor` by `factor` pixels (FacesHQ). */
  | { readonly kind: 'coordinates'; readonly codes: number; readonly factor: number }
  /** A picture (a sketch, depth, segmentation), by its codes. */
  | {
      readonly kind: 'image';
      /** `{target, params}` of the autoencoder that makes them; null for the first stage's own. */
      readonly autoencoder: ModelConfig | null;
      /** Pixels a side to which the picture is brought first, nearest neighbours as PyTorch takes them; null for as it is. */
      readonly size: number | null;
    };

const LIMIT = { min: 1, max: 2 ** 24 };

/**
 * @param params `model.params` of a `Net2NetTransformer`
 * @throws INVALID_FILE for fields that are missing or of a wrong type, UNSUPPORTED_MODEL for another condition
 */
export function readConditionConfig(params: ModelConfig): ConditionConfig {
  const given = params.get('cond_stage_config') ?? null;
  if (given === '__is_unconditional__' || params.getBoolean('unconditional', false)) {
    return { kind: 'none', start: params.getInt('sos_token', 0, { ...LIMIT, min: 0 }) };
  }
  const size = sizeOf(params);
  if (given === '__is_first_stage__') return { kind: 'image', autoencoder: null, size };
  const section =
    params.section('cond_stage_config') ??
    params.fail('cond_stage_config', 'expected what the codes are conditioned on but found nothing');
  const target = section.getString('target');
  const own = section.section('params');
  switch (target.slice(target.lastIndexOf('.') + 1)) {
    case 'SOSProvider':
      return { kind: 'none', start: own?.getInt('sos_token', 0, { ...LIMIT, min: 0 }) ?? 0 };
    case 'Labelator':
      return { kind: 'class', classes: needed(section, 'n_classes') };
    case 'CoordStage':
      return {
        kind: 'coordinates',
        codes: needed(section, 'n_embed'),
        factor: needed(section, 'down_factor'),
      };
    case 'VQModel':
    case 'VQSegmentationModel':
    case 'VQNoDiscModel':
    case 'EMAVQ':
    case 'GumbelVQ':
      return { kind: 'image', autoencoder: section, size };
    default:
      throw unsupported(
        params.where,
        'cond_stage_config.target',
        target,
        'it runs classes, coordinates, pictures by their codes, and no condition',
      );
  }
}

function needed(section: ModelConfig, field: string): number {
  return section.getInt<never>(`params.${field}`, undefined, LIMIT);
}

/** taming takes -1 for none. */
function sizeOf(params: ModelConfig): number | null {
  const size = params.getInt('downsample_cond_size', -1, { min: -1, max: 65536 });
  return size > 0 ? size : null;
}
