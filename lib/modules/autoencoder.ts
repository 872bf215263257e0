import type { NativeModule } from '../binding/module.js';
import { autoencoderDownsampleFactor } from '../checkpoint/config/diffusers/autoencoder.js';
import type { AutoencoderConfig } from '../checkpoint/config/types.js';
import type { AutoencoderSource } from '../checkpoint/model-descriptor.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkSource } from './check-call.js';
import { TiledCodec, type TiledOptions } from './codecs/tiled-codec.js';
import {
  type CallOptions,
  type CallResult,
  type LoadOptions,
  loadModule,
  type MemoryMode,
} from './loaded-module.js';

/**
 * A loaded KL autoencoder. Its latents z are unscaled; the sampler works on (z - shift_factor) * scaling_factor
 * (fields of the config).
 */
export class Autoencoder extends TiledCodec<AutoencoderConfig> {
  private constructor(config: AutoencoderConfig, module: NativeModule, memory: MemoryMode | undefined) {
    super(config, module, memory);
  }

  /**
   * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, FILE_NOT_FOUND, OUT_OF_MEMORY, BACKEND_UNAVAILABLE,
   *   BINARY_NOT_FOUND, ABORTED
   */
  static async load(source: AutoencoderSource, options: LoadOptions = {}): Promise<Autoencoder> {
    const { config, weights } = checkSource(source);
    const module = await loadModule('autoencoder_kl', { ...config }, weights, options);
    return new Autoencoder(config, module, options.memory);
  }

  /** Image pixels per latent element along each side, such as 8. */
  get downsampleFactor(): number {
    return autoencoderDownsampleFactor(this.config);
  }

  /** @deprecated use `downsampleFactor` */
  get factor(): number {
    return this.downsampleFactor;
  }

  /**
   * Encodes images to the moments of the latent distribution.
   * @param image `[B, 3, H, W]` in -1..1, sides multiples of f = `downsampleFactor`
   * @returns moments `[B, 2C, H / f, W / f]`: means, then log variances
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async encode(image: Tensor, options: TiledOptions = {}): Promise<Tensor> {
    return this.encodeTiled(image, 'moments', 2 * this.config.latent_channels, options);
  }

  /** Runs `encode` without tiling, with taps and overrides. */
  async encodeWhole(
    image: Tensor,
    options: CallOptions = {},
  ): Promise<CallResult & { readonly moments: Tensor }> {
    const { output, result } = await this.encodeUntiled(image, 'moments', options);
    return { moments: output, ...result };
  }
}
