/** The forms in which single files keep CLIP's text encoders: CompVis' own, and that of stable-diffusion.cpp's converter. */
import type {
  EncoderLayout,
  EncoderLocation,
  EncoderUse,
  HasPrefix,
} from '../../checkpoint/text-encoder-layout.js';

export const CLIP_USE: EncoderUse = { kind: 'clip', back: 0, finalNorm: true, pooled: false };
/** SD2's penultimate state passes the final norm, SDXL's do not. */
export const OPENCLIP_USE: EncoderUse = { kind: 'openclip', back: 1, finalNorm: true, pooled: false };
export const CLIP_XL_USE: EncoderUse = { kind: 'clip', back: 1, finalNorm: false, pooled: false };
export const OPENCLIP_XL_USE: EncoderUse = { kind: 'openclip', back: 1, finalNorm: false, pooled: true };

/** CLIP's encoder in CompVis' files, and the first encoder in stable-diffusion.cpp's. */
export const CLIP_PREFIX = 'cond_stage_model.transformer.';
const SECOND_PREFIX = 'cond_stage_model.1.transformer.';

/** Names in CompVis' files. */
export function ldmLayout(
  encoders: readonly EncoderLocation[],
  detect: (has: HasPrefix) => boolean,
): EncoderLayout {
  return { encoders, detect };
}

/** Signs of a file of stable-diffusion.cpp. */
export interface SdcppSigns {
  /** It has a second text encoder. */
  readonly second: boolean;
  /** Its U-Net has label embeddings (pooled text and sizes). */
  readonly labels: boolean;
}

/** Names in files of stable-diffusion.cpp, which keep the query, key and value of OpenCLIP's encoders in one tensor. */
export function sdcppLayout(
  uses: readonly EncoderUse[],
  detect: (signs: SdcppSigns) => boolean,
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
