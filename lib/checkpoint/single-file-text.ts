/** Where single files keep their text encoders, which tells the family: SD1 and SD2 one, SDXL two, its refiner SDXL's second alone. */

import { detectTextEncoderConfig } from './config/detect/text-encoder.js';
import type { ModelFamily } from './config/types.js';
import type { TextEncoderSource } from './model-descriptor.js';
import { clipNaming } from './naming/clip.js';
import type { Naming } from './naming/naming.js';
import { openClipNaming } from './naming/openclip.js';
import { sdcppTextNaming } from './naming/sdcpp-text.js';
import { standardPadId } from './parts.js';
import { ComponentWeights } from './weights/component.js';
import type { TensorIndex } from './weights/tensor-index.js';

export const UNET = 'model.diffusion_model.';
export const AUTOENCODER = 'first_stage_model.';

export type FileFamily = Exclude<ModelFamily, 'ldm' | 'ddpm' | 'custom'>;

/** What of an encoder a family uses. */
interface Use {
  readonly kind: 'clip' | 'openclip';
  /** Which hidden state is used, counted from the last. */
  readonly back: number;
  readonly finalNorm: boolean;
  readonly pooled: boolean;
}

export interface EncoderPlace extends Use {
  readonly prefix: string;
  /** How the names after the prefix are: by stable-diffusion.cpp's converter instead of the kind's own. */
  readonly sdcpp?: boolean;
}

const CLIP: Use = { kind: 'clip', back: 0, finalNorm: true, pooled: false };
/** SD2's penultimate state passes the final norm, SDXL's do not. */
const OPENCLIP: Use = { kind: 'openclip', back: 1, finalNorm: true, pooled: false };
const CLIP_XL: Use = { kind: 'clip', back: 1, finalNorm: false, pooled: false };
const OPENCLIP_XL: Use = { kind: 'openclip', back: 1, finalNorm: false, pooled: true };

/** In CompVis' files, and so in those that are written. */
export const ENCODERS: Readonly<Record<FileFamily, readonly EncoderPlace[]>> = {
  sd1: [{ prefix: 'cond_stage_model.transformer.', ...CLIP }],
  sd2: [{ prefix: 'cond_stage_model.model.', ...OPENCLIP }],
  sdxl: [
    { prefix: 'conditioner.embedders.0.transformer.', ...CLIP_XL },
    { prefix: 'conditioner.embedders.1.model.', ...OPENCLIP_XL },
  ],
  sdxl_refiner: [{ prefix: 'conditioner.embedders.0.model.', ...OPENCLIP_XL }],
};

/** In files of stable-diffusion.cpp. */
const FIRST = 'cond_stage_model.transformer.';
const SECOND = 'cond_stage_model.1.transformer.';
const SDCPP: Readonly<Record<Exclude<FileFamily, 'sd1'>, readonly EncoderPlace[]>> = {
  sd2: [{ prefix: FIRST, ...OPENCLIP, sdcpp: true }],
  sdxl: [
    { prefix: FIRST, ...CLIP_XL, sdcpp: true },
    { prefix: SECOND, ...OPENCLIP_XL, sdcpp: true },
  ],
  sdxl_refiner: [{ prefix: FIRST, ...OPENCLIP_XL, sdcpp: true }],
};

/**
 * @param unet what stands before the names of the U-Net
 * @returns null if the file has no text encoder
 */
export function familyOf(
  tensors: TensorIndex,
  unet: string,
): { family: FileFamily; places: readonly EncoderPlace[] } | null {
  const names = [...tensors.keys()];
  const has = (prefix: string): boolean => names.some((name) => name.startsWith(prefix));
  const ldm = (family: FileFamily) => ({ family, places: ENCODERS[family] });
  const sdcpp = (family: keyof typeof SDCPP) => ({ family, places: SDCPP[family] });
  if (has('conditioner.embedders.1.') || has('conditioner.embedders.0.transformer.')) return ldm('sdxl');
  if (has('conditioner.embedders.0.model.')) return ldm('sdxl_refiner');
  if (has('cond_stage_model.model.')) return ldm('sd2');
  if (has(SECOND)) return sdcpp('sdxl');
  if (has(`${FIRST}text_model.encoder.layers.0.self_attn.in_proj.`)) {
    return sdcpp(has(`${unet}label_emb.`) ? 'sdxl_refiner' : 'sd2');
  }
  return has(FIRST) ? ldm('sd1') : null;
}

/** The names of the encoder at a place. */
export function encoderNaming(
  { prefix, kind, pooled, sdcpp }: EncoderPlace,
  names: Iterable<string>,
): Naming {
  if (sdcpp) return sdcppTextNaming(names, prefix, pooled);
  return kind === 'clip' ? clipNaming(names, prefix, pooled) : openClipNaming(prefix, pooled);
}

/** An encoder with what its tensors tell of it. */
export function openEncoder(place: EncoderPlace, tensors: TensorIndex, path: string): TextEncoderSource {
  const { kind, pooled, finalNorm } = place;
  const weights = new ComponentWeights('text encoder', path, tensors, encoderNaming(place, tensors.keys()));
  const config = detectTextEncoderConfig(weights, kind, pooled);
  return {
    config,
    weights,
    tokenizer: 'standard',
    padId: standardPadId(kind),
    kind,
    layer: Math.max(0, config.num_hidden_layers - place.back),
    finalNorm,
    pooled,
  };
}
