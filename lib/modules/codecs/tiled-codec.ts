/** Base of the modules that encode images to latents and decode them, in tiles if an image is large. */
import type { NativeModule } from '../../binding/module.js';
import type { NativeConfig, NodeInfo } from '../../binding/types.js';
import { invalidOption } from '../../errors.js';
import { checkCallback, checkSignal, knownKeys } from '../../known-keys.js';
import { checkTensor } from '../../tensor/check-tensor.js';
import { Tensor } from '../../tensor/tensor.js';
import { checkCall, checkEntry, checkFlags, checkSizes, type ImageSize } from '../check-call.js';
import { type CallOptions, type CallResult, LoadedModule, type MemoryMode } from '../loaded-module.js';
import { runTiled, spansOf } from '../tiling.js';

export interface TiledOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * Side length in pixels above which an image is processed in overlapping tiles; Infinity disables tiling. The
   * default is 1024, 2048 with memory `fast`, 256 with `lean`.
   */
  readonly tile?: number | undefined;
  /** Convolutions wrap around the edges, so that the image tiles seamlessly. Default false. */
  readonly seamless?: boolean | undefined;
  /** Receives the number of finished tiles and of all tiles; an image no larger than a tile counts as one. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Channels of the images and latents of a codec. */
export interface CodecChannels {
  readonly in_channels: number;
  readonly out_channels: number;
  readonly latent_channels: number;
}

/**
 * Side length of a tile in pixels, by memory mode. The default is SDXL's native 1024, so that images of the sizes
 * models are trained on are decoded in one piece and match the reference. Decoding 512 x 512 pixels with a KL
 * autoencoder needs 640 MB of activations; overlaps are computed twice.
 */
const TILES: Readonly<Record<MemoryMode, number>> = { fast: 2048, balanced: 1024, lean: 256 };
/** Fraction of a tile that overlaps its neighbour. */
const OVERLAP = 0.25;

export abstract class TiledCodec<Config extends CodecChannels> extends LoadedModule<Config> {
  private readonly tile: number;

  protected constructor(config: Config, module: NativeModule, memory: MemoryMode | undefined) {
    super(config, module);
    this.tile = TILES[memory ?? 'balanced'];
  }

  /** Image pixels per latent element along each side, such as 8. */
  abstract get downsampleFactor(): number;

  /**
   * Decodes latents to images.
   * @param latent `[B, C, h, w]`
   * @returns image `[B, 3, h * f, w * f]` with f = `downsampleFactor`, nominally in -1..1 but not clamped
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async decode(latent: Tensor, options: TiledOptions = {}): Promise<Tensor> {
    checkTiled(options);
    sides('latent', latent, this.config.latent_channels);
    const scale = { from: 1, to: this.downsampleFactor };
    const { signal } = options;
    return this.inTiles(latent, scale, this.config.out_channels, options, async (tile, params) => {
      return (await this.call('decode', { latent: tile }, { signal }, params)).outputs.image!;
    });
  }

  /** Runs `decode` without tiling, with taps and overrides. */
  async decodeWhole(
    latent: Tensor,
    options: CallOptions = {},
  ): Promise<CallResult & { readonly image: Tensor }> {
    checkCall(options);
    sides('latent', latent, this.config.latent_channels);
    const { outputs, ...result } = await this.call('decode', { latent }, options);
    return { image: outputs.image!, ...result };
  }

  /** Lists the nodes that can be tapped for images of `height` x `width` pixels, 512 by default. */
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

  /**
   * Returns the bytes of compute buffers for decoding an image of `height` x `width` pixels, of one tile if the image
   * is tiled.
   * @throws ABORTED, DISPOSED
   */
  async decodeBytes(height: number, width: number, signal?: AbortSignal): Promise<number> {
    checkSizes({ height, width });
    checkSignal('signal', signal);
    const { downsampleFactor } = this;
    const side = Math.floor(this.tile / downsampleFactor);
    const isSingleTile = height <= side * downsampleFactor && width <= side * downsampleFactor;
    const [h, w] = [height, width].map((pixels) =>
      isSingleTile
        ? pixels / downsampleFactor
        : spansOf(pixels / downsampleFactor, side, Math.ceil(side * OVERLAP)).size,
    ) as [number, number];
    return this.needed('decode', { latent: [1, this.config.latent_channels, h, w] }, signal);
  }

  /**
   * Encodes images in tiles.
   * @param output name of the output, with `channels` channels
   */
  protected async encodeTiled(
    image: Tensor,
    output: string,
    channels: number,
    options: TiledOptions,
  ): Promise<Tensor> {
    checkTiled(options);
    const { downsampleFactor } = this;
    const [height, width] = sides('image', image, this.config.in_channels);
    if (height % downsampleFactor !== 0 || width % downsampleFactor !== 0) {
      throw invalidOption('image', `sides that are multiples of ${downsampleFactor}`, `${width} x ${height}`);
    }
    const { signal } = options;
    return this.inTiles(image, { from: downsampleFactor, to: 1 }, channels, options, async (tile, params) => {
      return (await this.call('encode', { image: tile }, { signal }, params)).outputs[output]!;
    });
  }

  /** Runs the encoder without tiling, with taps and overrides. */
  protected async encodeUntiled(image: Tensor, output: string, options: CallOptions) {
    checkCall(options);
    sides('image', image, this.config.in_channels);
    const { outputs, ...result } = await this.call('encode', { image }, options);
    return { output: outputs[output]!, result: result as CallResult };
  }

  private async inTiles(
    input: Tensor,
    scale: { readonly from: number; readonly to: number },
    channels: number,
    { signal, tile = this.tile, seamless = false, onProgress }: TiledOptions,
    run: (tile: Tensor, params: NativeConfig) => Promise<Tensor>,
  ): Promise<Tensor> {
    const { downsampleFactor } = this;
    if (typeof tile !== 'number' || !(tile >= 4 * downsampleFactor)) {
      throw invalidOption('tile', `a number of pixels of at least ${4 * downsampleFactor}`, tile);
    }
    const [height, width] = input.shape.slice(2).map((side) => side / scale.from) as [number, number];
    const side = Math.floor(tile / downsampleFactor);
    if (height <= side && width <= side) {
      const output = await run(input, seamless ? { seamless } : {});
      onProgress?.(1, 1);
      return output;
    }
    const overlap = Math.ceil(side * OVERLAP);
    const all = { tile: side, overlap, scale, channels };
    const single = (part: Tensor): Promise<Tensor> => run(part, {});
    if (!seamless) return runTiled(input, { ...all, height, width }, single, { signal, onProgress });
    // Tiles do not wrap around themselves: the image is continued by its opposite edges, which are blended afterwards.
    const [rows, columns] = [Math.min(overlap, height), Math.min(overlap, width)];
    const output = await runTiled(
      continued(input, rows * scale.from, columns * scale.from),
      { ...all, height: height + rows, width: width + columns },
      single,
      { signal, onProgress },
    );
    return folded(output, rows * scale.to, columns * scale.to);
  }
}

/** Continues `[B, C, H, W]` by the first rows at the bottom and the first columns at the right. */
function continued(input: Tensor, rows: number, columns: number): Tensor {
  const [batch = 0, channels = 0, height = 0, width = 0] = input.shape;
  const [tall, wide] = [height + rows, width + columns];
  const out = new Float32Array(batch * channels * tall * wide);
  let at = 0;
  for (let plane = 0; plane < batch * channels; plane++) {
    for (let y = 0; y < tall; y++) {
      const row = (plane * height + (y % height)) * width;
      for (let x = 0; x < wide; x++) out[at++] = input.data[row + (x % width)]!;
    }
  }
  return Tensor.from(out, [batch, channels, tall, wide]);
}

/** Blends the rows and columns beyond the image into its first ones, so that the opposite edges continue each other. */
function folded(output: Tensor, rows: number, columns: number): Tensor {
  const [batch = 0, channels = 0, tall = 0, wide = 0] = output.shape;
  const [height, width] = [tall - rows, wide - columns];
  const out = new Float32Array(batch * channels * height * width);
  /** Returns the share of a pixel's own value; the rest is that of the continued image. */
  const share = (i: number, length: number): number => (i < length ? (i + 0.5) / length : 1);
  let at = 0;
  for (let plane = 0; plane < batch * channels; plane++) {
    for (let y = 0; y < height; y++) {
      const [row, beyond] = [y, y + height].map((i) => (plane * tall + (i < tall ? i : y)) * wide);
      const vertical = share(y, rows);
      for (let x = 0; x < width; x++) {
        const right = x < columns ? x + width : x;
        const horizontal = share(x, columns);
        const [top, bottom] = [row!, beyond!].map(
          (start) => horizontal * output.data[start + x]! + (1 - horizontal) * output.data[start + right]!,
        );
        out[at++] = vertical * top! + (1 - vertical) * bottom!;
      }
    }
  }
  return Tensor.from(out, [batch, channels, height, width]);
}

function sides(name: string, tensor: Tensor, channels: number): [height: number, width: number] {
  const { shape } = checkTensor(name, tensor, ['B', channels, 'H', 'W']);
  return [shape[2]!, shape[3]!];
}

function checkTiled(options: TiledOptions): void {
  knownKeys('options', options, new Set(['signal', 'tile', 'seamless', 'onProgress']));
  checkFlags(options, 'seamless');
  checkSignal('signal', options.signal);
  checkCallback('onProgress', options.onProgress);
}
