/** Configs of the upscaling networks, detected from their tensors. C++ receives them unchanged (`native/models/upscale`). */

/** RRDBNet of ESRGAN, BSRGAN and Real-ESRGAN. */
export interface RrdbNetConfig {
  /** Channels of images; the first convolution reads `unshuffle`^2 times as many. */
  in_channels: number;
  out_channels: number;
  num_feat: number;
  num_grow_ch: number;
  num_block: number;
  /** Number of times that the features are upsampled by 2. */
  doublings: number;
  /** Factor by which the image is rearranged into channels first: 1, 2 or 4. */
  unshuffle: number;
  /** True for the additional paths of ESRGAN+. */
  plus: boolean;
}

/** Real-ESRGAN's SRVGGNetCompact. */
export interface CompactConfig {
  in_channels: number;
  out_channels: number;
  num_feat: number;
  /** Convolutions between the first and the last one. */
  num_conv: number;
  upscale: number;
}

/** Layers after a transformer that turn its features into an image. */
export interface ReconstructionConfig {
  upsampler: 'none' | 'pixelshuffle' | 'pixelshuffledirect' | 'nearest+conv';
  /** Factors by which the features are upsampled one after the other; empty for `none`. */
  upsample_factors: number[];
  /** Channels of the layers after the transformer. */
  num_feat: number;
  out_channels: number;
}

/** SwinIR. Arrays have one element per residual group. */
export interface SwinIRConfig extends ReconstructionConfig {
  in_channels: number;
  embed_dim: number;
  depths: number[];
  num_heads: number[];
  window_size: number;
  /** Width of the hidden layer of the MLPs. */
  mlp_dim: number;
  qkv_bias: boolean;
  /** Largest value of pixels, 1 or 255. */
  img_range: number;
  /** Three convolutions before skip connections instead of one. */
  three_convs: boolean;
  /** Factor by which the image is rearranged into channels first; 1 for none. */
  unshuffle: number;
}

/** DAT. Arrays have one element per residual group, except `split_size`. */
export interface DatConfig extends ReconstructionConfig {
  in_channels: number;
  embed_dim: number;
  depths: number[];
  num_heads: number[];
  /** Rows and columns of the windows, which are exchanged for half of the channels. */
  split_size: number[];
  /** Width of the hidden layer of the feed-forward networks. */
  mlp_dim: number;
  qkv_bias: boolean;
  img_range: number;
  /** Three convolutions before skip connections instead of one. */
  three_convs: boolean;
}

export type UpscalerConfig = RrdbNetConfig | CompactConfig | SwinIRConfig | DatConfig;
