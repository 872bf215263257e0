/** A model that was opened but not loaded: its configs, and the locations of its weights. */

import type { ModuleKind } from '../binding/types.js';
import type { TokenizerSource } from '../tokenizers/reading/tokenizer-files.js';
import type {
  AutoencoderConfig,
  FewStep,
  GenerationDefaults,
  ModuleConfig,
  SchedulerConfig,
  TextEncoderConfig,
  TinyAutoencoderConfig,
  UNetConfig,
  UnknownIndex,
  VQModelConfig,
} from './config/types.js';
import type { ComponentWeights } from './weights/component.js';
import type { TensorInfo } from './weights/tensor-index.js';

/** One native module of a model: its config and the location of its weights. */
export interface ComponentSource {
  /** The component's name in diffusers: `text_encoder`, `text_encoder_2`, `unet`, `vae`, `vqvae` ... */
  readonly name: string;
  /** The part of a pipeline that the module belongs to: `text_encoder`, `unet` or `autoencoder`. */
  readonly part: string;
  /** The name in messages: `text encoder 2`, `U-Net` ... */
  readonly label: string;
  readonly kind: ModuleKind;
  readonly config: ModuleConfig;
  readonly weights: ComponentWeights;
}

/** A model of any family, opened but not loaded. */
export interface ModelDescriptor {
  /** Absolute path of the folder or file. */
  readonly path: string;
  /** `folder` for a diffusers folder, `file` for a single file. */
  readonly form: 'folder' | 'file';
  readonly family: string;
  /** Its native modules. */
  readonly components: readonly ComponentSource[];
  /** The model's conditioning: text, a class or none. */
  readonly condition: ConditionSource;
  readonly defaults: GenerationDefaults;
  /** Defined for a model distilled for few steps; `defaults` contains its defaults. */
  readonly fewStep?: FewStep | undefined;
  /** Tensors of the files that no module uses. */
  readonly ignored: readonly IgnoredTensor[];
}

/** A model that generates images with a U-Net. */
export interface ModelSource extends ModelDescriptor {
  /** True if the model's config states its best image size; otherwise the family's size applies. */
  readonly ownSize: boolean;
  /** In the order in which their states are concatenated; the SDXL refiner has only SDXL's second encoder. */
  readonly textEncoders: readonly TextEncoderSource[];
  readonly unet: UNetSource;
  readonly autoencoder: LatentSource;
  /** Tiny autoencoder that decodes previews; null for approximate previews. */
  readonly previewDecoder: TinyAutoencoderSource | null;
  readonly scheduler: SchedulerConfig;
  /** True if the context and pooled embedding of an empty negative prompt are zeros (SDXL). */
  readonly forceZerosForEmptyPrompt: boolean;
  /**
   * True for a single file of SD2's shape that does not state its prediction type: `scheduler.prediction` is a guess
   * (`eps`) until `probePrediction` has run the U-Net.
   */
  readonly predictionUncertain: boolean;
  /** The source of `scheduler.prediction`, for a single file without configs. */
  readonly predictionFrom?: PredictionFrom;
}

/**
 * The source of a prediction type: the option, a named YAML, a marker tensor or metadata key `name`, the distillation for
 * few steps, the family, or a probe of the U-Net.
 */
export interface PredictionFrom {
  readonly kind: 'option' | 'config' | 'tensor' | 'metadata' | 'few-step' | 'family';
  readonly name?: string;
}

export interface TextEncoderSource {
  readonly config: TextEncoderConfig;
  readonly weights: ComponentWeights;
  readonly tokenizer: TokenizerSource;
  /** Id that fills windows after the end token: 0 for OpenCLIP's tokenizer, the end token for CLIP's. */
  readonly padId: number;
  readonly kind: 'clip' | 'openclip' | 'bert';
  /** Index of the hidden state used when clip skip is 1: `hidden_states[layer]`. */
  readonly layer: number;
  /** True if the final layer norm is applied to that state. */
  readonly finalNorm: boolean;
  /** True if the pooled output is used (SDXL's second encoder). */
  readonly pooled: boolean;
}

export interface UNetSource {
  readonly config: UNetConfig;
  readonly weights: ComponentWeights;
}

export interface AutoencoderSource {
  readonly config: AutoencoderConfig;
  readonly weights: ComponentWeights;
}

/** A tiny autoencoder (TAESD), of which one half may be absent. */
export interface TinyAutoencoderSource {
  readonly config: TinyAutoencoderConfig;
  readonly weights: ComponentWeights;
}

/** An autoencoder with a codebook (VQGAN). */
export interface VQModelSource {
  readonly config: VQModelConfig;
  readonly weights: ComponentWeights;
  /** Table of the used codes (`quantize.used`), into which code indices point; null if all codes are used. */
  readonly used: TensorInfo | null;
  /** Treatment of codes that are not in the table. */
  readonly unknownIndex: UnknownIndex;
}

/** An autoencoder, KL or VQ. */
export type FirstStageSource =
  | ({ readonly kind: 'vq_model' } & VQModelSource)
  | ({ readonly kind: 'autoencoder_kl' } & AutoencoderSource);

/** An autoencoder that can replace that of a model. */
export type ReplacementSource =
  | ({ readonly kind: 'autoencoder_kl' } & AutoencoderSource)
  | ({ readonly kind: 'tiny_autoencoder' } & TinyAutoencoderSource);

/** The source of latents: an autoencoder, or the pixels of an image. */
export type LatentSource = FirstStageSource | ReplacementSource | PixelSource;

/** The source of a model without autoencoder, which samples pixels (DDPM). */
export interface PixelSource {
  readonly kind: 'pixels';
  /** Number of color channels. */
  readonly config: { readonly latent_channels: number };
  /** Contains no tensors. */
  readonly weights: ComponentWeights;
}

/** The conditioning of a U-Net. */
export type ConditionSource =
  /** Text-conditional: a prompt, encoded by text encoders. */
  | { readonly kind: 'text' }
  | ClassSource
  /** Unconditional. */
  | { readonly kind: 'none' };

/** Class-conditional: one of `classes` labels. */
export interface ClassSource {
  readonly kind: 'class';
  readonly classes: number;
  /** The label that stands for "no class", used by classifier-free guidance; null if there is none. */
  readonly unconditional: number | null;
  /** Embedding table `[classes, D]` for the U-Net's cross-attention; null if the U-Net embeds labels itself. */
  readonly table: TensorInfo | null;
}

export interface IgnoredTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Absolute path. */
  readonly file: string;
}

export interface OpenModelOptions {
  /** Selects `NAME.VARIANT.safetensors` in folders that contain such files, for example `fp16`. */
  readonly variant?: string;
  /**
   * An autoencoder that replaces the model's: a weights file (CompVis or diffusers names) or a diffusers folder. A tiny
   * autoencoder (TAESD) is also accepted, as a folder, one file, or its file of the decoder with that of the encoder
   * beside it.
   */
  readonly vae?: string;
  /** A tiny autoencoder (TAESD) that decodes previews; by default previews are approximations. */
  readonly previewVae?: string;
  /** Overrides the prediction type that the model states or that is detected. */
  readonly prediction?: SchedulerConfig['prediction'];
  /**
   * YAML config of a CompVis checkpoint, or several of which later ones override earlier ones, if none is next to the
   * checkpoint.
   */
  readonly config?: string | readonly string[];
  /**
   * Uses the moving average of the weights (`model_ema.*`) that a single file contains in addition to them. Default
   * false.
   */
  readonly ema?: boolean;
}
