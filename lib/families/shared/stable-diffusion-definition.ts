import type { EncoderLayout } from '../../checkpoint/text-encoder-layout.js';
import type { UNetFamily } from './unet/unet-spec.js';

/** The differences between the folders of Stable Diffusion's families. */
export interface FolderTraits {
  /** The U-Net takes pooled text and sizes. */
  readonly addition: boolean;
  readonly textEncoder: boolean;
  /** The activation of the first text encoder is OpenCLIP's. */
  readonly openClip: boolean;
}

export interface StableDiffusionDefinition extends UNetFamily {
  readonly label: string;
  /** Layouts of the text encoders in single files; the first is CompVis' form, in which `convert` writes. */
  readonly layouts: readonly [EncoderLayout, ...EncoderLayout[]];
  /** Tells a diffusers folder of this family from those of the others. */
  folder(traits: FolderTraits): boolean;
  /** Factor that brings latents to unit variance over the training images. */
  readonly scalingFactor: number;
  /** An empty negative prompt gives zeros, where the model does not say. */
  readonly zeroEmptyNegative: boolean;
  /** Single files with the same tensors may predict noise or v. */
  readonly predictionVaries?: boolean;
  /** Its U-Net's projections are 1x1 convolutions, whose ones writers of GGUF may drop. */
  readonly convolutionProjections?: boolean;
}
