import type { EncoderLayout } from '../../checkpoint/text-encoder-layout.js';
import type { UNetFamily } from './unet/unet-spec.js';

/** Traits of a diffusers folder by which the Stable Diffusion families are distinguished. */
export interface FolderTraits {
  /** The U-Net has inputs for pooled text and sizes. */
  readonly addition: boolean;
  /** The folder has a component `text_encoder`. */
  readonly textEncoder: boolean;
  /** The first text encoder has OpenCLIP's activation (gelu). */
  readonly openClip: boolean;
}

/** Definition of a Stable Diffusion family. */
export interface StableDiffusionDefinition extends UNetFamily {
  readonly label: string;
  /** Layouts of the text encoders in single files; the first is CompVis', which `convert` writes. */
  readonly layouts: readonly [EncoderLayout, ...EncoderLayout[]];
  /** Returns true if a diffusers folder is of this family. */
  folder(traits: FolderTraits): boolean;
  /** Factor that scales latents to unit variance over the training images. */
  readonly scalingFactor: number;
  /** True if an empty negative prompt is encoded as zeros, unless the model's config specifies it. */
  readonly zeroEmptyNegative: boolean;
  /** True if single files with the same tensors may predict noise or v. */
  readonly predictionVaries?: boolean;
  /** True if the U-Net's projections are 1x1 convolutions, whose trailing dimensions writers of GGUF may drop. */
  readonly convolutionProjections?: boolean;
}
