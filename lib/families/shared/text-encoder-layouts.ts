/** Layouts of CLIP text encoders in single files: those of CompVis and of stable-diffusion.cpp's converter. */
import type {
  EncoderLayout,
  EncoderLocation,
  EncoderUse,
  HasPrefix,
} from '../../checkpoint/text-encoder-layout.js';

export const CLIP_USE: EncoderUse = { kind: 'clip', back: 0, finalNorm: true, pooled: false };
/** SD2 applies the final norm to the penultimate state, SDXL does not. */
export const OPENCLIP_USE: EncoderUse = { kind: 'openclip', back: 1, finalNorm: true, pooled: false };
export const CLIP_XL_USE: EncoderUse = { kind: 'clip', back: 1, finalNorm: false, pooled: false };
export const OPENCLIP_XL_USE: EncoderUse = { kind: 'openclip', back: 1, finalNorm: false, pooled: true };

/** Prefix of CLIP in CompVis' files and of the first encoder in files of stable-diffusion.cpp. */
export const CLIP_PREFIX = 'cond_stage_model.transformer.';
const SECOND_PREFIX = 'cond_stage_model.1.transformer.';

/** Creates a layout with the names of CompVis' files. */
export function ldmLayout(
  encoders: readonly EncoderLocation[],
  detect: (has: HasPrefix) => boolean,
): EncoderLayout {
  return { encoders, detect };
}

/** Properties that distinguish files of stable-diffusion.cpp. */
export interface SdcppTraits {
  /** The file has a second text encoder. */
  readonly second: boolean;
  /** The U-Net has label embeddings (pooled text and sizes). */
  readonly labels: boolean;
}

/**
 * Creates a layout with the names of stable-diffusion.cpp, which stores query, key and value of OpenCLIP encoders in
 * one tensor.
 */
export function sdcppLayout(
  uses: readonly EncoderUse[],
  detect: (traits: SdcppTraits) => boolean,
): EncoderLayout {
  const prefixes = [CLIP_PREFIX, SECOND_PREFIX];
  return {
    encoders: uses.map((use, i) => ({ prefix: prefixes[i]!, ...use, sdcpp: true })),
    detect: (has, unet) => {
      const second = has(SECOND_PREFIX);
      const fused = has(`${CLIP_PREFIX}text_model.encoder.layers.0.self_attn.in_proj.`);
      return (second || fused) && detect({ second, labels: has(`${unet}label_emb.`) });
    },
  };
}
