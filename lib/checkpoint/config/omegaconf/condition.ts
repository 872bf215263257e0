/** The conditioning of a `Net2NetTransformer`, from taming's YAML. */

import { unsupported } from '../validate.js';
import type { ModelConfig } from './model-config.js';

export type ConditionConfig =
  /** Unconditional: every sequence begins with the code `start`. */
  | { readonly kind: 'none'; readonly start: number }
  /** Class-conditional: the first code is the class label. */
  | { readonly kind: 'class'; readonly classes: number }
  /** Positions: each code's place in the image, one of `codes` indices per `factor` x `factor` pixels (FacesHQ). */
  | { readonly kind: 'coordinates'; readonly codes: number; readonly factor: number }
  /** Image-conditional: the code indices of an image (a sketch, depth, segmentation). */
  | {
      readonly kind: 'image';
      /** `{target, params}` of the autoencoder that encodes it; null for the first stage's own. */
      readonly autoencoder: ModelConfig | null;
      /**
       * Side length in pixels to which the image is first resized (nearest neighbor, as in PyTorch); null to keep its
       * size.
       */
      readonly size: number | null;
    };

const LIMIT = { min: 1, max: 2 ** 24 };

/**
 * @param params `model.params` of a `Net2NetTransformer`
 * @throws INVALID_FILE for fields that are missing or of a wrong type, UNSUPPORTED_MODEL for other kinds of
 *   conditioning
 */
export function readConditionConfig(params: ModelConfig): ConditionConfig {
  const stage = params.get('cond_stage_config') ?? null;
  if (stage === '__is_unconditional__' || params.getBoolean('unconditional', false)) {
    return { kind: 'none', start: params.getInt('sos_token', 0, { ...LIMIT, min: 0 }) };
  }
  const size = sizeOf(params);
  if (stage === '__is_first_stage__') return { kind: 'image', autoencoder: null, size };
  const section =
    params.section('cond_stage_config') ??
    params.fail('cond_stage_config', 'expected the conditioning of the codes, found nothing');
  const target = section.getString('target');
  const stageParams = section.section('params');
  switch (target.slice(target.lastIndexOf('.') + 1)) {
    case 'SOSProvider':
      return { kind: 'none', start: stageParams?.getInt('sos_token', 0, { ...LIMIT, min: 0 }) ?? 0 };
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
        'supported are classes, coordinates, code indices of images, and no conditioning',
      );
  }
}

function needed(section: ModelConfig, field: string): number {
  return section.getInt<never>(`params.${field}`, undefined, LIMIT);
}

/** Reads a size for which taming uses -1 as "none". */
function sizeOf(params: ModelConfig): number | null {
  const size = params.getInt('downsample_cond_size', -1, { min: -1, max: 65536 });
  return size > 0 ? size : null;
}
