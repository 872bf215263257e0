/** A model that was found and understood but not loaded: configs, and where its weights lie. */

import type { ModuleKind } from '../binding/types.js';
import type { TokenizerSource } from '../tokenizers/reading/tokenizer-files.js';
import type {
  AutoencoderConfig,
  GenerationDefaults,
  ModuleConfig,
  SchedulerConfig,
  TextEncoderConfig,
  UNetConfig,
  UnknownIndex,
  VQModelConfig,
} from './config/types.js';
import type { ComponentWeights } from './weights/component.js';
import type { TensorInfo } from './weights/tensor-index.js';

/** One native module of a model: its config, and where its weights lie. */
export interface ComponentSource {
  /** As diffusers calls it: `text_encoder`, `text_encoder_2`, `unet`, `vae`, `vqvae` ... */
  readonly name: string;
  /** The part of a pipeline that it is loaded with: `text_encoder`, `unet` or `autoencoder`. */
  readonly part: string;
  /** Names it in messages: `text encoder 2`, `U-Net` ... */
  readonly label: string;
  readonly kind: ModuleKind;
  readonly config: ModuleConfig;
  readonly weights: ComponentWeights;
}

/** A model of any family. */
export interface ModelDescriptor {
  /** Absolute path of the folder or file. */
  readonly path: string;
  /** A diffusers folder, or a single file. */
  readonly form: 'folder' | 'file';
  readonly family: string;
  /** Its native modules. */
  readonly components: readonly ComponentSource[];
  /** The input that says what to draw: a prompt, a class or nothing. */
  readonly condition: ConditionSource;
  readonly defaults: GenerationDefaults;
  /** Tensors that no module takes, as real files carry them. */
  readonly ignored: readonly IgnoredTensor[];
}

/** A model that draws with a U-Net. */
export interface ModelSource extends ModelDescriptor {
  /** The model names the size of images that it is best at; otherwise its family does. */
  readonly ownSize: boolean;
  /** In the order in which their states are joined; the refiner has only SDXL's second. */
  readonly textEncoders: readonly TextEncoderSource[];
  readonly unet: UNetSource;
  readonly autoencoder: LatentSource;
  readonly scheduler: SchedulerConfig;
  /** An empty negative prompt gives zero context and zero pooled (SDXL). */
  readonly forceZerosForEmptyPrompt: boolean;
  /**
   * A single file of SD2 shape without a sign of what it predicts: `scheduler.prediction` is only a guess ('eps') until
   * `probePrediction` has run the U-Net.
   */
  readonly predictionUncertain: boolean;
  /** Of a single file without configs: what says `scheduler.prediction`. */
  readonly predictionFrom?: PredictionFrom;
}

/** The option, a YAML that was named, a marker tensor or a key of the metadata by its `name`, the family (or running it). */
export interface PredictionFrom {
  readonly kind: 'option' | 'config' | 'tensor' | 'metadata' | 'family';
  readonly name?: string;
}

export interface TextEncoderSource {
  readonly config: TextEncoderConfig;
  readonly weights: ComponentWeights;
  readonly tokenizer: TokenizerSource;
  /** Fills windows after the end token: OpenCLIP's own tokenizer pads with 0, CLIP's with the end token. */
  readonly padId: number;
  readonly kind: 'clip' | 'openclip' | 'bert';
  /** The hidden state used when clip skip is 1: `hidden_states[layer]`. */
  readonly layer: number;
  /** Whether that state passes the final layer norm. */
  readonly finalNorm: boolean;
  /** Whether the pooled output is used (SDXL's second encoder). */
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

/** An autoencoder with a codebook. */
export interface VQModelSource {
  readonly config: VQModelConfig;
  readonly weights: ComponentWeights;
  /** The table of codes that are used (`quantize.used`), by whose places indices are counted; null if all are. */
  readonly used: TensorInfo | null;
  /** What becomes of codes that are not in it. */
  readonly unknownIndex: UnknownIndex;
}

/** An autoencoder of either kind. */
export type FirstStageSource =
  | ({ readonly kind: 'vq_model' } & VQModelSource)
  | ({ readonly kind: 'autoencoder_kl' } & AutoencoderSource);

/** Where latents come from: an autoencoder of either kind, or a picture's own pixels. */
export type LatentSource = FirstStageSource | PixelSource;

/** No autoencoder: what is sampled are pictures (DDPM). */
export interface PixelSource {
  readonly kind: 'pixels';
  /** Colours. */
  readonly config: { readonly latent_channels: number };
  /** None. */
  readonly weights: ComponentWeights;
}

/** What a U-Net is told of the picture it is to draw. */
export type ConditionSource =
  /** A prompt, by text encoders. */
  | { readonly kind: 'text' }
  | ClassSource
  /** Nothing. */
  | { readonly kind: 'none' };

/** One of so many classes, by its number. */
export interface ClassSource {
  readonly kind: 'class';
  readonly classes: number;
  /** The class that stands for none, which guidance leads away from; null if there is no such class. */
  readonly unconditional: number | null;
  /** The table `[classes, D]` of what the U-Net's transformers attend to; null where the U-Net has its own. */
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
  /** Takes `NAME.VARIANT.safetensors` where a folder has it, such as `fp16`. */
  readonly variant?: string;
  /** Another autoencoder instead of the model's: a weights file (CompVis or diffusers) or a diffusers folder. */
  readonly vae?: string;
  /** Overrides what the model says or what its tensors suggest. */
  readonly prediction?: SchedulerConfig['prediction'];
  /** YAML config (or configs, later ones over earlier ones) of a CompVis checkpoint, if it does not lie beside it. */
  readonly config?: string | readonly string[];
  /** Takes the moving average of the weights (`model_ema.*`) that a single file holds beside them. */
  readonly ema?: boolean;
}
