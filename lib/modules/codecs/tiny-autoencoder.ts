import type { NativeModule } from '../../binding/module.js';
import type { TinyAutoencoderConfig } from '../../checkpoint/config/types.js';
import type { TinyAutoencoderSource } from '../../checkpoint/model-descriptor.js';
import { missingHalf, tinyDownsampleFactor } from '../../checkpoint/tiny-autoencoder.js';
import type { Tensor } from '../../tensor/tensor.js';
import { checkSource } from '../check-call.js';
import {
  type CallOptions,
  type CallResult,
  type LoadOptions,
  loadModule,
  type MemoryMode,
} from '../loaded-module.js';
import { TiledCodec, type TiledOptions } from './tiled-codec.js';

/**
 * A loaded tiny autoencoder (TAESD, TAESDXL, TAESD3, TAEF1, TAEF2): a fast approximation of a model's autoencoder. Its
 * latents are those of the sampler. Encoder and decoder may be present alone.
 */
export class TinyAutoencoder extends TiledCodec<TinyAutoencoderConfig> {
  private constructor(
    config: TinyAutoencoderConfig,
    module: NativeModule,
    memory: MemoryMode | undefined,
    private readonly where: string,
  ) {
    super(config, module, memory);
  }

  /**
   * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, FILE_NOT_FOUND, OUT_OF_MEMORY, BACKEND_UNAVAILABLE,
   *   BINARY_NOT_FOUND, ABORTED
   */
  static async load(source: TinyAutoencoderSource, options: LoadOptions = {}): Promise<TinyAutoencoder> {
    const { config, weights } = checkSource(source);
    const module = await loadModule('tiny_autoencoder', { ...config }, weights, options);
    return new TinyAutoencoder(config, module, options.memory, weights.where);
  }

  /** Image pixels per latent element along each side, such as 8. */
  get downsampleFactor(): number {
    return tinyDownsampleFactor(this.config);
  }

  /**
   * Encodes images.
   * @param image `[B, 3, H, W]` in -1..1, sides multiples of f = `downsampleFactor`
   * @returns latent `[B, C, H / f, W / f]`
   * @throws MISSING_TENSOR without an encoder, INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async encode(image: Tensor, options: TiledOptions = {}): Promise<Tensor> {
    this.require('encoder');
    return this.encodeTiled(image, 'latent', this.config.latent_channels, options);
  }

  /** Runs `encode` without tiling, with taps and overrides. */
  async encodeWhole(
    image: Tensor,
    options: CallOptions = {},
  ): Promise<CallResult & { readonly latent: Tensor }> {
    this.require('encoder');
    const { output, result } = await this.encodeUntiled(image, 'latent', options);
    return { latent: output, ...result };
  }

  override async decode(latent: Tensor, options: TiledOptions = {}): Promise<Tensor> {
    this.require('decoder');
    return super.decode(latent, options);
  }

  override async decodeWhole(latent: Tensor, options: CallOptions = {}) {
    this.require('decoder');
    return super.decodeWhole(latent, options);
  }

  private require(half: 'encoder' | 'decoder'): void {
    if (this.config[half] === null) throw missingHalf(this.where, half);
  }
}
