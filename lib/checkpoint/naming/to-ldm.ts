/** Maps canonical parameters to CompVis' names and shapes, for files that Safelight writes. */
import { SafelightError } from '../../errors.js';
import type { AutoencoderConfig, UNetConfig } from '../config/types.js';
import { autoencoderTable } from './ldm-autoencoder.js';
import { unetTable } from './ldm-unet.js';
import type { NameTable } from './naming.js';

export interface LdmNaming {
  /** Returns the tensor of a canonical parameter. Parameters with the same tensor are its rows, in their order. */
  readonly name: (canonical: string) => string;
  /** Returns true if the tensor is the transpose of the parameter. */
  readonly transposed: (canonical: string) => boolean;
  /** Returns true if the matrix is stored as a 1x1 convolution, `[O, I, 1, 1]`. */
  readonly convolution: (canonical: string) => boolean;
}

const never = (): boolean => false;

/** Returns the inverse of a naming that defines `source`: CLIP's and OpenCLIP's text encoders. */
export function textToLdm(naming: { source(canonical: string): string }, openClip: boolean): LdmNaming {
  return {
    name: naming.source,
    transposed: (canonical) => openClip && canonical === 'text_projection.weight',
    convolution: never,
  };
}

/** Features of a U-Net that files with Stable Diffusion's naming cannot represent. */
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

/** @throws UNSUPPORTED_MODEL for a U-Net that differs from Stable Diffusion's */
export function unetToLdm(config: UNetConfig, prefix: string): LdmNaming {
  const variant = NO_PLACE.find((field) => (config[field] ?? null) !== null);
  if (variant !== undefined) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `The U-Net has ${variant}, which a converted file cannot contain; use the original model`,
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

function named(table: NameTable, prefix: string): (canonical: string) => string {
  return (canonical) => prefix + (table.source(canonical) ?? canonical);
}
