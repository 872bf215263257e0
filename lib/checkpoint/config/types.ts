/**
 * Configs of the modules, normalized from a `config.json` or from a checkpoint's tensors. C++ receives these objects
 * unchanged (`native/models` reads the same field names), so every field is plain data.
 */

/**
 * A CLIP text model (transformers' `CLIPTextModel`, OpenCLIP's text tower), or latent diffusion's BERT-tokenized
 * encoder.
 */
export interface TextEncoderConfig {
  vocab_size: number;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  /**
   * Width of a head of latent diffusion's encoder, whose heads may be wider than `hidden_size / num_attention_heads`.
   */
  head_dim?: number;
  /** Window length in tokens, including start and end tokens. */
  max_position_embeddings: number;
  hidden_act: 'quick_gelu' | 'gelu';
  layer_norm_eps: number;
  /** Width of the pooled output's projection, or 0 for none. */
  projection_dim: number;
}

/** transformers' `T5EncoderModel` (T5 v1.1), with the field names of its config. */
export interface T5EncoderConfig {
  vocab_size: number;
  d_model: number;
  /** Width of a head; the heads together may be wider than `d_model`. */
  d_kv: number;
  d_ff: number;
  num_layers: number;
  num_heads: number;
  /** Buckets of the relative position bias, half of them for later tokens. */
  relative_attention_num_buckets: number;
  /** Distance from which on all positions share the last bucket. */
  relative_attention_max_distance: number;
  layer_norm_epsilon: number;
  feed_forward_proj: 'gated-gelu';
}

/**
 * diffusers' `UNet2DConditionModel`, or `UNet2DModel` if `attention_blocks` is set. Arrays have one element per level,
 * finest first. The defaults of optional fields are those of Stable Diffusion's U-Nets.
 */
export interface UNetConfig {
  in_channels: number;
  out_channels: number;
  block_out_channels: number[];
  layers_per_block: number[];
  /** True if the down block (and the mirrored up block) of the level has transformers. */
  down_attention: boolean[];
  /** The same for the up blocks, in the order of the up path (coarsest first). */
  up_attention: boolean[];
  /** Self-attention blocks without text (diffusers' `AttnDownBlock2D`) instead of transformers; default false. */
  attention_blocks?: boolean;
  /** Transformer blocks per level of the down path, mirrored by the up path; 0 with attention blocks. */
  transformer_layers_per_block: number[];
  /** Heads per level of the down path, mirrored by the up path. */
  num_attention_heads: number[];
  mid_attention: boolean;
  /** Residual blocks of the middle block, 0 to 2; default 2 if it has attention, else 1. */
  mid_resnets?: number;
  /** Norm groups of an attention block in the middle, 0 for no norm; default `norm_num_groups`. */
  mid_attention_groups?: number;
  /** Divisor of the sums in the middle block; default 1. */
  mid_block_scale_factor?: number;
  /** Width of the states for cross-attention; 0 with attention blocks. */
  cross_attention_dim: number;
  /** Linear proj_in and proj_out (SD2, SDXL) instead of 1x1 convolutions (SD1). */
  use_linear_projection: boolean;
  norm_num_groups: number;
  norm_eps: number;
  /**
   * The time embedding scales and shifts the output of a residual block's second norm, instead of being added before
   * it; default false.
   */
  scale_shift_norm?: boolean;
  /**
   * True if the level's down block ends in a residual block that halves the map, instead of a convolution; default all
   * false.
   */
  resnet_downsample?: boolean[];
  /** The same for the up blocks, in the order of the up path (coarsest first). */
  resnet_upsample?: boolean[];
  /**
   * Padding of the downsampling convolutions: 1 (default) on each side, or 0 with a row and a column of zeros after the
   * map (DDPM).
   */
  downsample_padding?: 0 | 1;
  /** Order of the timestep's sinusoidal embedding: cosines first if true. */
  flip_sin_to_cos: boolean;
  freq_shift: number;
  /**
   * SDXL's `text_time` embedding: width of each time id's sinusoid, and width of the add_embedding's input; null for
   * none.
   */
  addition: { time_embed_dim: number; input_dim: number } | null;
  /** Width of the embedding of the guidance scale (latent consistency models); undefined for none. */
  time_cond_proj_dim?: number;
  /** Embedding of a class label; null or undefined for none. */
  class_embedding?: ClassEmbeddingConfig | null;
  /** Side length of the training latents, which determines the default image size. */
  sample_size: number;
}

/**
 * The embedding of a class label that is added to the time embedding: row `label` of a table of `size` rows; two linear
 * layers over the label's sinusoid (`timestep`) or over `size` numbers (`projection`); or `4 * block_out_channels[0]`
 * numbers as they are (`identity`).
 */
export type ClassEmbeddingConfig =
  | { type: 'table' | 'projection'; size: number }
  | { type: 'timestep' | 'identity' };

/** The convolutional encoder and decoder of KL and VQ autoencoders. */
export interface CodecConfig {
  in_channels: number;
  out_channels: number;
  /** Channels of the encoder's output (twice as many if it predicts means and variances) and of the decoder's input. */
  z_channels: number;
  /** Channels per level, finest first. */
  block_out_channels: number[];
  layers_per_block: number;
  norm_num_groups: number;
  norm_eps: number;
  mid_attention: boolean;
  /** True if the encoder's level has attention after each residual block, finest first. */
  down_attention: boolean[];
  /** The same for the decoder, in the order of its path (coarsest first). */
  up_attention: boolean[];
}

/** diffusers' `AutoencoderKL`. */
export interface AutoencoderConfig extends CodecConfig {
  /** Channels of latents; differs from `z_channels` only with quant_conv and post_quant_conv. */
  latent_channels: number;
  use_quant_conv: boolean;
  use_post_quant_conv: boolean;
  /** Latents of the sampler are (z - shift_factor) * scaling_factor. */
  scaling_factor: number;
  shift_factor: number;
}

/**
 * A layer of a tiny autoencoder: a 3x3 convolution, a residual block of three of them, an activation, or nearest
 * upsampling by 2. `out` is its number of output channels.
 */
export type TinyLayer =
  | { readonly op: 'conv'; readonly out: number; readonly stride: 1 | 2; readonly bias: boolean }
  /** `pool_channels`: inner channels of a normalized branch before the convolutions (TAEF2); 0 for none. */
  | { readonly op: 'block'; readonly out: number; readonly pool_channels: number }
  | { readonly op: 'relu' }
  | { readonly op: 'upsample' };

/** A tiny autoencoder (TAESD and its relatives; diffusers' `AutoencoderTiny`). */
export interface TinyAutoencoderConfig {
  in_channels: number;
  out_channels: number;
  latent_channels: number;
  /** Layers by the indices of diffusers' `encoder.layers`; null without an encoder. */
  encoder: TinyLayer[] | null;
  /** Layers by the indices of diffusers' `decoder.layers`; null without a decoder. */
  decoder: TinyLayer[] | null;
  /** Latents of the sampler are (z - shift_factor) * scaling_factor; 1 and 0 in all published models. */
  scaling_factor: number;
  shift_factor: number;
}

/** taming-transformers' `GPT` (minGPT), which predicts images as sequences of code indices. */
export interface LatentTransformerConfig {
  /** Number of distinct codes. */
  vocab_size: number;
  /** Window length in tokens, including the condition. */
  block_size: number;
  n_layer: number;
  n_head: number;
  /** Width of the hidden states. */
  n_embd: number;
  /** Length of a prefix with bidirectional attention; later tokens attend causally. */
  n_unmasked: number;
}

/** The order in which a transformer predicts the code indices of an image; `identity` is row by row. */
export type OrderName =
  | 'identity'
  | 'zcurve'
  | 'subsample'
  | 'alternate'
  | 'spiral_out'
  | 'spiral_in'
  | 'random';

/** An autoencoder with a codebook: diffusers' `VQModel`, taming's `VQModel` and `GumbelVQ`. */
export interface VQModelConfig extends CodecConfig {
  /** Number of vectors in the codebook. */
  num_vq_embeddings: number;
  /** Width of the codebook's vectors, and channels of latents. */
  vq_embed_dim: number;
  /** `nearest` selects the code at the smallest distance, `gumbel` the one with the largest logit. */
  quantizer: 'nearest' | 'gumbel';
  /** Latents of the sampler are multiplied by this. */
  scaling_factor: number;
}

/** taming's `NLayerDiscriminator`, the PatchGAN discriminator of pix2pix. */
export interface PatchDiscriminatorConfig {
  in_channels: number;
  /** Output channels of the first layer. */
  ndf: number;
  n_layers: number;
  /** ActNorm instead of BatchNorm. */
  use_actnorm: boolean;
}

/** taming's `LPIPS`: channels of VGG16's feature maps at the five depths. */
export interface LpipsConfig {
  channels: number[];
}

/** The training settings that samplers depend on. */
export interface SchedulerConfig {
  prediction: 'eps' | 'v' | 'x0';
  beta_schedule: 'scaled_linear' | 'linear' | 'squaredcos_cap_v2';
  beta_start: number;
  beta_end: number;
  num_train_timesteps: number;
  /** Betas rescaled to zero terminal SNR (Lin et al. 2023). */
  rescale_zero_snr: boolean;
  /** Bound of the absolute values of x0 for models that sample pixels; default none. */
  clip_x0?: number;
  /** The lowest timestep of DDIM and PLMS; default 1. */
  steps_offset?: number;
  /**
   * True if the last step of DDIM and PLMS ends without noise, instead of at timestep 0's noise level; default false.
   */
  ends_clean?: boolean;
}

/** The config of any component of a checkpoint. */
export type ModuleConfig =
  | UNetConfig
  | AutoencoderConfig
  | TinyAutoencoderConfig
  | VQModelConfig
  | TextEncoderConfig;

/** Default generation options of a model, from a folder's `safelight.json`. They override Safelight's defaults. */
export interface GenerationDefaults {
  steps?: number;
  cfg?: number;
  sampler?: string;
  schedule?: string;
  /** Noise that `sampler` adds; not used with another sampler. */
  eta?: number;
  width?: number;
  height?: number;
}

/** A model or LoRA that was distilled for few steps. */
export interface FewStep {
  /** Name of the distillation in messages: `Turbo`, `LCM` ... */
  readonly kind: string;
  readonly defaults: GenerationDefaults;
  /** Predicted quantity, if it differs from that of the base model. */
  readonly prediction?: SchedulerConfig['prediction'];
}

/**
 * The replacement for a code that the table of used codes lacks: a random entry, one extra index after the table, or
 * this index.
 */
export type UnknownIndex = 'random' | 'extra' | number;
