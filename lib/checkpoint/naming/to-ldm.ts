/** CompVis' names for canonical parameters: where a file that is written keeps them, and in which shape. */
import { SafelightError } from '../../errors.js';
import type { AutoencoderConfig, UNetConfig } from '../config/types.js';
import { autoencoderTable } from './ldm-autoencoder.js';
import { unetTable } from './ldm-unet.js';
import type { PlaceTable } from './naming.js';

export interface LdmNaming {
  /** Where a canonical parameter goes. Several may go to one tensor: then they are its rows, in their own order. */
  readonly name: (canonical: string) => string;
  /** Whether the tensor is the parameter's transpose. */
  readonly transposed: (canonical: string) => boolean;
  /** Whether the matrix stands there as a 1x1 convolution, `[O, I, 1, 1]`. */
  readonly convolution: (canonical: string) => boolean;
}

const never = (): boolean => false;

/** Of a naming that has its way back already: CLIP's and OpenCLIP's text encoders. */
export function textToLdm(naming: { source(canonical: string): string }, openClip: boolean): LdmNaming {
  return {
    name: naming.source,
    transposed: (canonical) => openClip && canonical === 'text_projection.weight',
    convolution: never,
  };
}

/** What a U-Net can have that files of Stable Diffusion's form have no place for. */
const NO_PLACE = [
  'attention_blocks',
  'mid_resnets',
  'mid_attention_groups',
  'mid_block_scale_factor',
  'scale_shift_norm',
  'resnet_downsample',
  'resnet_upsample',
  'downsample_padding',
  'class_embedding',
] as const satisfies readonly (keyof UNetConfig)[];

/** @throws UNSUPPORTED_MODEL for a U-Net of another kind than Stable Diffusion's */
export function unetToLdm(config: UNetConfig, prefix: string): LdmNaming {
  const variant = NO_PLACE.find((field) => (config[field] ?? null) !== null);
  if (variant !== undefined) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `The U-Net has ${variant}, which a converted file has no place for; use the model as it is`,
    );
  }
  const table = unetTable(config.layers_per_block, config.up_attention);
  return {
    name: named(table, prefix),
    transposed: never,
    convolution: (canonical) =>
      canonical.endsWith('.conv_shortcut.weight') ||
      (!config.use_linear_projection && /\.proj_(in|out)\.weight$/.test(canonical)),
  };
}

export function autoencoderToLdm(config: AutoencoderConfig, prefix: string): LdmNaming {
  const layers = config.layers_per_block;
  const table = autoencoderTable(config.block_out_channels.length, layers, layers + 1);
  return {
    name: named(table, prefix),
    transposed: never,
    convolution: (canonical) =>
      /(^|\.)((post_)?quant_conv|conv_shortcut|to_q|to_k|to_v|to_out\.0)\.weight$/.test(canonical),
  };
}

function named(table: PlaceTable, prefix: string): (canonical: string) => string {
  return (canonical) => prefix + (table.source(canonical) ?? canonical);
}
