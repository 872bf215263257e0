/** Locations of text encoders in single files, and the states that each family uses of them. */

import { standardPadId } from './components.js';
import { detectTextEncoderConfig } from './config/detect/text-encoder.js';
import type { TextEncoderSource } from './model-descriptor.js';
import { clipNaming } from './naming/clip.js';
import type { Naming } from './naming/naming.js';
import { openClipNaming } from './naming/openclip.js';
import { sdcppTextNaming } from './naming/sdcpp-text.js';
import { ComponentWeights } from './weights/component.js';
import type { TensorIndex } from './weights/tensor-index.js';

export const UNET = 'model.diffusion_model.';
export const AUTOENCODER = 'first_stage_model.';

/** Returns true if a file has tensor names with this prefix. */
export type HasPrefix = (prefix: string) => boolean;

/** The states of a text encoder that a family uses. */
export interface EncoderUse {
  readonly kind: 'clip' | 'openclip';
  /** Index of the used hidden state, counted from the last. */
  readonly back: number;
  readonly finalNorm: boolean;
  readonly pooled: boolean;
}

export interface EncoderLocation extends EncoderUse {
  readonly prefix: string;
  /** True if the names after the prefix are those of stable-diffusion.cpp's converter instead of the kind's own. */
  readonly sdcpp?: boolean;
}

/** A layout of the text encoders of a family in single files. */
export interface EncoderLayout {
  readonly encoders: readonly EncoderLocation[];
  /** @param unet prefix of the U-Net's tensor names */
  detect(has: HasPrefix, unet: string): boolean;
}

/** Returns the naming of the encoder at a location. */
export function encoderNaming(
  { prefix, kind, pooled, sdcpp }: EncoderLocation,
  names: Iterable<string>,
): Naming {
  if (sdcpp) return sdcppTextNaming(names, prefix, pooled);
  return kind === 'clip' ? clipNaming(names, prefix, pooled) : openClipNaming(prefix, pooled);
}

/** Opens the encoder at a location, with the config detected from its tensors. */
export function openEncoder(
  location: EncoderLocation,
  tensors: TensorIndex,
  path: string,
): TextEncoderSource {
  const { kind, pooled, finalNorm } = location;
  const weights = new ComponentWeights(
    'text encoder',
    path,
    tensors,
    encoderNaming(location, tensors.keys()),
  );
  const config = detectTextEncoderConfig(weights, kind, pooled);
  return {
    config,
    weights,
    tokenizer: 'standard',
    padId: standardPadId(kind),
    kind,
    layer: Math.max(0, config.num_hidden_layers - location.back),
    finalNorm,
    pooled,
  };
}
