/**
 * Configs of the modules, normalized from a `config.json` or from a checkpoint's tensors. These objects go to C++ as they
 * are (`native/models` reads the same names), so every field is plain data.
 */

/** CLIP text model (transformers `CLIPTextModel`, OpenCLIP's text tower), or latent diffusion's over BERT's tokens. */
export interface TextEncoderConfig {
  vocab_size: number;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  /** Width of a head of the latter, whose heads may be wider than their share. */
  head_dim?: number;
  /** Window length, start and end tokens included. */
  max_position_embeddings: number;
  hidden_act: 'quick_gelu' | 'gelu';
  layer_norm_eps: number;
  /** Width of the pooled output's projection, or 0 for none. */
  projection_dim: number;
}

/** transformers' `T5EncoderModel` of T5 v1.1, under its own config's names. */
export interface T5EncoderConfig {
  vocab_size: number;
  d_model: number;
  /** Width of a head; all of them together may be wider than `d_model`. */
  d_kv: number;
  d_ff: number;
  num_layers: number;
  num_heads: number;
  /** Buckets of the position bias, half of them for tokens that come after. */
  relative_attention_num_buckets: number;
  /** Distance from which on all share the last bucket. */
  relative_attention_max_distance: number;
  layer_norm_epsilon: number;
  feed_forward_proj: 'gated-gelu';
}

/**
 * diffusers `UNet2DConditionModel`, or `UNet2DModel` where `attention_blocks` is set; one array element a level, finest first. What is
 * optional has the default that Stable Diffusion's U-Nets need.
 */
export interface UNetConfig {
  in_channels: number;
  out_channels: number;
  block_out_channels: number[];
  layers_per_block: number[];
  /** Whether the down block (and, mirrored, the up block) of the level has transformers. */
  down_attention: boolean[];
  /** Of the up blocks, in the order of the up path (coarsest first). */
  up_attention: boolean[];
  /** Attention blocks that know no text (diffusers' `AttnDownBlock2D`) in the place of transformers; default false. */
  attention_blocks?: boolean;
  /** Transformer blocks a level, of the down path; the up path mirrors it. 0 with attention blocks. */
  transformer_layers_per_block: number[];
  /** Heads a level, of the down path; the up path mirrors it. */
  num_attention_heads: number[];
  mid_attention: boolean;
  /** Residual blocks of the middle, 0 to 2; default 2 with attention between them, else 1. */
  mid_resnets?: number;
  /** Groups of the norm of an attention block in the middle, 0 for no norm; default `norm_num_groups`. */
  mid_attention_groups?: number;
  /** What the middle's sums are divided by; default 1. */
  mid_block_scale_factor?: number;
  /** Width of the states that transformers attend to; 0 with attention blocks. */
  cross_attention_dim: number;
  /** Linear proj_in and proj_out (SD2, SDXL) instead of 1x1 convolutions (SD1). */
  use_linear_projection: boolean;
  norm_num_groups: number;
  norm_eps: number;
  /** The time embedding scales and shifts after a residual block's second norm, instead of being added before it; default false. */
  scale_shift_norm?: boolean;
  /** Whether the level's down block ends in a residual block that halves the map, instead of a convolution; default none. */
  resnet_downsample?: boolean[];
  /** The same of the up blocks, in the order of the up path (coarsest first). */
  resnet_upsample?: boolean[];
  /** Of the convolutions that halve: 1 (default) on each side, 0 one row and column of zeros after the map (DDPM). */
  downsample_padding?: 0 | 1;
  /** Order of the timestep's sinusoid: cosines first if true. */
  flip_sin_to_cos: boolean;
  freq_shift: number;
  /** SDXL's `text_time` embedding: width of each time id's sinusoid and of add_embedding's input; null for none. */
  addition: { time_embed_dim: number; input_dim: number } | null;
  /** How a class is told to the U-Net; null or nothing if it is not. */
  class_embedding?: ClassEmbeddingConfig | null;
  /** Latent side in training; only a default for the size of pictures. */
  sample_size: number;
}

/**
 * What of a class is added to the time embedding: row `label` of a table of `size` rows; two linear layers over the label's sinusoid
 * (`timestep`), or over `size` numbers (`projection`); or the label itself, `4 * block_out_channels[0]` numbers (`identity`).
 */
export type ClassEmbeddingConfig =
  | { type: 'table' | 'projection'; size: number }
  | { type: 'timestep' | 'identity' };

/** The convolutional encoder and decoder that autoencoders share. */
export interface CodecConfig {
  in_channels: number;
  out_channels: number;
  /** Out of the encoder (twice as many where it gives means and variances) and into the decoder. */
  z_channels: number;
  /** A level, finest first. */
  block_out_channels: number[];
  layers_per_block: number;
  norm_num_groups: number;
  norm_eps: number;
  mid_attention: boolean;
  /** Whether a level of the encoder attends after each residual block, finest first. */
  down_attention: boolean[];
  /** Of the decoder, in the order of its own path (coarsest first). */
  up_attention: boolean[];
}

/** diffusers `AutoencoderKL`. */
export interface AutoencoderConfig extends CodecConfig {
  /** Of latents; other than `z_channels` only with quant_conv and post_quant_conv. */
  latent_channels: number;
  use_quant_conv: boolean;
  use_post_quant_conv: boolean;
  /** The sampler sees (z - shift_factor) * scaling_factor. */
  scaling_factor: number;
  shift_factor: number;
}

/** taming-transformers' `GPT` (minGPT), which writes pictures as sequences of codes. */
export interface LatentTransformerConfig {
  /** Codes it can read and write. */
  vocab_size: number;
  /** Places of its window, condition included. */
  block_size: number;
  n_layer: number;
  n_head: number;
  /** Width. */
  n_embd: number;
  /** Length of a prefix that sees all of itself; everything after it sees what is before. */
  n_unmasked: number;
}

/** The order in which a transformer writes a picture's codes: row by row is `identity`. */
export type OrderName =
  | 'identity'
  | 'zcurve'
  | 'subsample'
  | 'alternate'
  | 'spiral_out'
  | 'spiral_in'
  | 'random';

/** diffusers `VQModel`, taming's `VQModel` and `GumbelVQ`: an autoencoder with a codebook. */
export interface VQModelConfig extends CodecConfig {
  /** Vectors of the codebook. */
  num_vq_embeddings: number;
  /** Numbers of each, and channels of latents. */
  vq_embed_dim: number;
  /** `nearest`: the code at the smallest distance; `gumbel`: that of the largest logit. */
  quantizer: 'nearest' | 'gumbel';
  /** A sampler sees latents times this. */
  scaling_factor: number;
}

/** taming's `NLayerDiscriminator`, pix2pix' discriminator of patches. */
export interface PatchDiscriminatorConfig {
  in_channels: number;
  /** Channels of the first layer. */
  ndf: number;
  n_layers: number;
  /** ActNorm instead of BatchNorm. */
  use_actnorm: boolean;
}

/** taming's `LPIPS`: the channels of VGG16's maps at the five depths. */
export interface LpipsConfig {
  channels: number[];
}

/** What the sampler must know of how the model was trained. */
export interface SchedulerConfig {
  prediction: 'eps' | 'v' | 'x0';
  beta_schedule: 'scaled_linear' | 'linear' | 'squaredcos_cap_v2';
  beta_start: number;
  beta_end: number;
  num_train_timesteps: number;
  /** Betas rescaled to zero terminal SNR (Lin et al. 2023). */
  rescale_zero_snr: boolean;
  /** Bound of each number of x0, where the model is sampled so (pixels); default none. */
  clip_x0?: number;
  /** The lowest of the timesteps that DDIM and PLMS take; default 1. */
  steps_offset?: number;
  /** Whether their last step ends without noise, instead of with that of timestep 0; default false. */
  ends_clean?: boolean;
}

/** The config of a component that a checkpoint can hold. */
export type ModuleConfig = UNetConfig | AutoencoderConfig | VQModelConfig | TextEncoderConfig;

/** Defaults of a model, over Safelight's own, from a folder's `safelight.json`. */
export interface GenerationDefaults {
  steps?: number;
  cfg?: number;
  sampler?: string;
  schedule?: string;
  width?: number;
  height?: number;
}

/** The index that stands for a code which a table of used codes lacks: a random one of the table, one more, or this one. */
export type UnknownIndex = 'random' | 'extra' | number;
