import type { NativeModule } from '../binding/module.js';
import type { NodeInfo } from '../binding/types.js';
import { autoencoderDownsampleFactor } from '../checkpoint/config/diffusers/autoencoder.js';
import type { AutoencoderConfig } from '../checkpoint/config/types.js';
import type { AutoencoderSource } from '../checkpoint/model-descriptor.js';
import { invalidOption } from '../errors.js';
import { checkCallback, checkSignal, knownKeys } from '../known-keys.js';
import { checkTensor } from '../tensor/check-tensor.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkCall, checkEntry, checkSizes, checkSource, type ImageSize } from './check-call.js';
import {
  type CallOptions,
  type CallResult,
  LoadedModule,
  type LoadOptions,
  loadModule,
  type MemoryMode,
} from './loaded-module.js';
import { runTiled, spansOf } from './tiling.js';

export interface TiledOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * Pixels a side above which an image is worked through in overlapping tiles; Infinity for never. By default 1024, with memory `fast`
   * 2048, with `lean` 256.
   */
  readonly tile?: number | undefined;
  /** Tiles done, and of all; a picture that is no larger than a tile is one. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Pixels a side by memory mode. Not below SDXL's own size by default, so that images of the sizes models are trained on are whole and equal
 * to the reference. The decoder's activations of 512 x 512 pixels take 640 MB; what overlaps is computed twice.
 */
const TILES: Readonly<Record<MemoryMode, number>> = { fast: 2048, balanced: 1024, lean: 256 };
/** Part of a tile that it shares with its neighbour. */
const OVERLAP = 0.25;

/**
 * A KL autoencoder, loaded. Latents are the codec's own: the sampler's are (z - shift_factor) * scaling_factor of the config.
 */
export class Autoencoder extends LoadedModule<AutoencoderConfig> {
  private constructor(
    config: AutoencoderConfig,
    module: NativeModule,
    private readonly tile: number,
  ) {
    super(config, module);
  }

  /**
   * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, FILE_NOT_FOUND, OUT_OF_MEMORY, BACKEND_UNAVAILABLE,
   *   BINARY_NOT_FOUND, ABORTED
   */
  static async load(source: AutoencoderSource, options: LoadOptions = {}): Promise<Autoencoder> {
    const { config, weights } = checkSource(source);
    const module = await loadModule('autoencoder_kl', { ...config }, weights, options);
    return new Autoencoder(config, module, TILES[options.memory ?? 'balanced']);
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
   * @param image `[B, 3, H, W]` in -1..1, sides multiples of `factor`
   * @returns moments `[B, 2C, H / factor, W / factor]`: means, then log variances
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async encode(image: Tensor, options: TiledOptions = {}): Promise<Tensor> {
    checkTiled(options);
    const { downsampleFactor } = this;
    const [height, width] = sides('image', image, this.config.in_channels);
    if (height % downsampleFactor !== 0 || width % downsampleFactor !== 0) {
      throw invalidOption('image', `sides that are multiples of ${downsampleFactor}`, `${width} x ${height}`);
    }
    const moments = 2 * this.config.latent_channels;
    return this.inTiles(image, { from: downsampleFactor, to: 1 }, moments, options, async (tile) => {
      return (await this.call('encode', { image: tile }, { signal: options.signal })).outputs.moments!;
    });
  }

  /**
   * @param latent `[B, C, h, w]`
   * @returns image `[B, 3, h * factor, w * factor]`, in -1..1 or a little beyond
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async decode(latent: Tensor, options: TiledOptions = {}): Promise<Tensor> {
    checkTiled(options);
    sides('latent', latent, this.config.latent_channels);
    const scale = { from: 1, to: this.downsampleFactor };
    return this.inTiles(latent, scale, this.config.out_channels, options, async (tile) => {
      return (await this.call('decode', { latent: tile }, { signal: options.signal })).outputs.image!;
    });
  }

  /** `encode` of a whole picture, with taps. */
  async encodeWhole(
    image: Tensor,
    options: CallOptions = {},
  ): Promise<CallResult & { readonly moments: Tensor }> {
    checkCall(options);
    sides('image', image, this.config.in_channels);
    const { outputs, ...told } = await this.call('encode', { image }, options);
    return { moments: outputs.moments!, ...told };
  }

  /** `decode` of a whole latent, with taps. */
  async decodeWhole(
    latent: Tensor,
    options: CallOptions = {},
  ): Promise<CallResult & { readonly image: Tensor }> {
    checkCall(options);
    sides('latent', latent, this.config.latent_channels);
    const { outputs, ...told } = await this.call('decode', { latent }, options);
    return { image: outputs.image!, ...told };
  }

  /** Everything that can be tapped for a picture of `height` x `width` pixels. */
  nodes(entry: 'encode' | 'decode', size: ImageSize = {}): NodeInfo[] {
    checkEntry(entry, 'encode', 'decode');
    checkSizes(size, 'batch', 'height', 'width');
    const { batch = 1, height = 512, width = 512 } = size;
    const { downsampleFactor, config } = this;
    return this.listNodes(
      entry,
      entry === 'encode'
        ? { image: [batch, config.in_channels, height, width] }
        : {
            latent: [
              batch,
              config.latent_channels,
              Math.floor(height / downsampleFactor),
              Math.floor(width / downsampleFactor),
            ],
          },
    );
  }

  /** Bytes of the buffers that decoding a picture of `height` x `width` pixels needs, in tiles if it is large. @throws ABORTED, DISPOSED */
  async decodeBytes(height: number, width: number, signal?: AbortSignal): Promise<number> {
    checkSizes({ height, width });
    checkSignal('signal', signal);
    const { downsampleFactor } = this;
    const side = Math.floor(this.tile / downsampleFactor);
    const whole = height <= side * downsampleFactor && width <= side * downsampleFactor;
    const [h, w] = [height, width].map((pixels) =>
      whole
        ? pixels / downsampleFactor
        : spansOf(pixels / downsampleFactor, side, Math.ceil(side * OVERLAP)).size,
    ) as [number, number];
    return this.needed('decode', { latent: [1, this.config.latent_channels, h, w] }, signal);
  }

  private async inTiles(
    input: Tensor,
    scale: { readonly from: number; readonly to: number },
    channels: number,
    { signal, tile = this.tile, onProgress }: TiledOptions,
    run: (tile: Tensor) => Promise<Tensor>,
  ): Promise<Tensor> {
    const { downsampleFactor } = this;
    if (typeof tile !== 'number' || !(tile >= 4 * downsampleFactor)) {
      throw invalidOption('tile', `number of pixels of at least ${4 * downsampleFactor}`, tile);
    }
    const [height, width] = input.shape.slice(2).map((side) => side / scale.from) as [number, number];
    const side = Math.floor(tile / downsampleFactor);
    if (height <= side && width <= side) {
      const output = await run(input);
      onProgress?.(1, 1);
      return output;
    }
    return runTiled(
      input,
      { height, width, tile: side, overlap: Math.ceil(side * OVERLAP), scale, channels },
      run,
      {
        signal,
        onProgress,
      },
    );
  }
}

function sides(name: string, tensor: Tensor, channels: number): [height: number, width: number] {
  const { shape } = checkTensor(name, tensor, ['B', channels, 'H', 'W']);
  return [shape[2]!, shape[3]!];
}

function checkTiled(options: TiledOptions): void {
  knownKeys('options', options, new Set(['signal', 'tile', 'onProgress']));
  checkSignal('signal', options.signal);
  checkCallback('onProgress', options.onProgress);
}
