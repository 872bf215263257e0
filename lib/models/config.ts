/**
 * Configs of the modules, normalized from a `config.json` or from a checkpoint's tensors. These objects go to C++ as they
 * are (`native/models` reads the same names), so every field is plain data.
 */

/** CLIP text model (transformers `CLIPTextModel`, OpenCLIP's text tower). */
export interface TextEncoderConfig {
  vocab_size: number;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  /** Window length, start and end tokens included. */
  max_position_embeddings: number;
  hidden_act: 'quick_gelu' | 'gelu';
  layer_norm_eps: number;
  /** Width of the pooled output's projection, or 0 for none. */
  projection_dim: number;
}

/** diffusers `UNet2DConditionModel`; one array element a level, finest first. */
export interface UNetConfig {
  in_channels: number;
  out_channels: number;
  block_out_channels: number[];
  layers_per_block: number[];
  /** Whether the down block (and, mirrored, the up block) of the level has transformers. */
  down_attention: boolean[];
  /** Of the up blocks, in the order of the up path (coarsest first). */
  up_attention: boolean[];
  /** Transformer blocks a level, of the down path; the up path mirrors it. */
  transformer_layers_per_block: number[];
  /** Heads a level, of the down path; the up path mirrors it. */
  num_attention_heads: number[];
  mid_attention: boolean;
  cross_attention_dim: number;
  /** Linear proj_in and proj_out (SD2, SDXL) instead of 1x1 convolutions (SD1). */
  use_linear_projection: boolean;
  norm_num_groups: number;
  norm_eps: number;
  /** Order of the timestep's sinusoid: cosines first if true. */
  flip_sin_to_cos: boolean;
  freq_shift: number;
  /** SDXL's `text_time` embedding: width of each time id's sinusoid and of add_embedding's input; null for none. */
  addition: { time_embed_dim: number; input_dim: number } | null;
  /** Latent side in training; only a default for the size of pictures. */
  sample_size: number;
}

/** diffusers `AutoencoderKL`. */
export interface AutoencoderConfig {
  in_channels: number;
  out_channels: number;
  latent_channels: number;
  block_out_channels: number[];
  layers_per_block: number;
  norm_num_groups: number;
  norm_eps: number;
  mid_attention: boolean;
  use_quant_conv: boolean;
  use_post_quant_conv: boolean;
  /** The sampler sees (z - shift_factor) * scaling_factor. */
  scaling_factor: number;
  shift_factor: number;
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
}

export type ModelFamily = 'sd1' | 'sd2' | 'sdxl' | 'sdxl_refiner' | 'custom';

/** Defaults of a model, over Safelight's own, from a folder's `safelight.json`. */
export interface GenerationDefaults {
  steps?: number;
  cfg?: number;
  sampler?: string;
  schedule?: string;
  width?: number;
  height?: number;
}
