/**
 * Codecs between images and scaled latents: KL autoencoder, tiny autoencoder, VQ autoencoder, or identity for pixel-space
 * models.
 */

import type { MemoryInfo, NodeInfo } from '../../binding/types.js';
import type {
  AutoencoderConfig,
  TinyAutoencoderConfig,
  VQModelConfig,
} from '../../checkpoint/config/types.js';
import type { LatentSource } from '../../checkpoint/model-descriptor.js';
import { invalidOption } from '../../errors.js';
import { Autoencoder } from '../../modules/autoencoder.js';
import { TinyAutoencoder } from '../../modules/codecs/tiny-autoencoder.js';
import type { LoadOptions } from '../../modules/loaded-module.js';
import { VQModel } from '../../modules/vq-model.js';
import { throwIfNotFinite } from '../../tensor/finite.js';
import { Tensor } from '../../tensor/tensor.js';
import { latentsOf, scaled, unscaled } from './latents.js';

interface Control {
  readonly signal?: AbortSignal | undefined;
  /** Wraps around the edges of the image; `encode` and `decode` only. Default false. */
  readonly seamless?: boolean | undefined;
}

/** An encoded image. */
export interface EncodedImage {
  /** Shape of its latent, `[1, C, h, w]`. */
  readonly shape: readonly number[];
  /** Number of values of its latent. */
  readonly size: number;
  /**
   * Returns its latent, or a batch of samples, scaled for the sampler.
   * @param noise returns `[B, C * h * w]` normal numbers for samples of the encoder's distribution; called only for
   *   codecs with a distribution. Without it, the mean is returned
   * @throws NOT_FINITE
   */
  latents(noise?: () => Float32Array | undefined): Tensor;
}

export interface LatentCodec {
  /**
   * Encodes an image.
   * @param image `[1, 3, H, W]` in -1..1
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  encode(image: Tensor, control?: Control): Promise<EncodedImage>;
  /**
   * Decodes scaled latents.
   * @param latent `[B, C, h, w]` as returned by the sampler
   * @returns `[B, 3, H, W]`, nominally in -1..1 but not clamped
   * @throws SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  decode(latent: Tensor, control?: Control): Promise<Tensor>;
  /**
   * Returns the values of named encoder nodes for an image `[1, 3, H, W]`.
   * @throws INVALID_OPTION for an unknown node
   */
  tapEncoder(
    image: Tensor,
    taps: readonly string[],
    control?: Control,
  ): Promise<Readonly<Record<string, Tensor>>>;
  /** Returns the values of named decoder nodes for a latent. @throws INVALID_OPTION for an unknown node */
  tapDecoder(
    latent: Tensor,
    taps: readonly string[],
    control?: Control,
  ): Promise<Readonly<Record<string, Tensor>>>;
  /** Returns the bytes of compute buffers for decoding an image of `height` x `width` pixels. */
  decodeBytes(height: number, width: number, signal?: AbortSignal): Promise<number>;
  /** Lists the nodes that can be tapped for an image of `height` x `width` pixels. */
  nodes(entry: 'encode' | 'decode', size: { batch: number; height: number; width: number }): NodeInfo[];
  /** Returns the memory of its module; undefined for pixel-space models, which have none. */
  memory(): MemoryInfo | undefined;
  dispose(): void;
}

/** Loads the codec of a model. @throws errors of loading an autoencoder */
export async function loadCodec(source: LatentSource, options: LoadOptions): Promise<LatentCodec> {
  switch (source.kind) {
    case 'autoencoder_kl':
      return new DistributionCodec(await Autoencoder.load(source, options), source.config);
    case 'vq_model':
      return new CodebookCodec(await VQModel.load(source, options), source.config);
    case 'tiny_autoencoder':
      return new TinyCodec(await TinyAutoencoder.load(source, options), source.config);
    case 'pixels':
      return new PixelCodec(source.config.latent_channels);
  }
}

/** Base of codecs that delegate size, nodes and memory to a module. */
abstract class ModuleCodec<Model extends Autoencoder | TinyAutoencoder | VQModel> {
  constructor(protected readonly model: Model) {}

  decodeBytes(height: number, width: number, signal?: AbortSignal): Promise<number> {
    return this.model.decodeBytes(height, width, signal);
  }

  nodes(entry: 'encode' | 'decode', size: { batch: number; height: number; width: number }): NodeInfo[] {
    return this.model.nodes(entry, size);
  }

  memory(): MemoryInfo {
    return this.model.memory();
  }

  dispose(): void {
    this.model.dispose();
  }
}

/** Base of codecs whose module decodes in tiles. */
abstract class TiledModuleCodec<
  Model extends Autoencoder | TinyAutoencoder,
  Config extends AutoencoderConfig | TinyAutoencoderConfig,
> extends ModuleCodec<Model> {
  constructor(
    model: Model,
    protected readonly config: Config,
  ) {
    super(model);
  }

  async decode(latent: Tensor, control: Control = {}): Promise<Tensor> {
    return this.model.decode(unscaled(latent, this.config), control);
  }

  async tapEncoder(image: Tensor, taps: readonly string[], { signal }: Control = {}) {
    return (await this.model.encodeWhole(image, { signal, taps })).taps;
  }

  async tapDecoder(latent: Tensor, taps: readonly string[], { signal }: Control = {}) {
    return (await this.model.decodeWhole(unscaled(latent, this.config), { signal, taps })).taps;
  }
}

/** KL autoencoder: latents are samples of the encoder's distribution, or its mean. */
class DistributionCodec extends TiledModuleCodec<Autoencoder, AutoencoderConfig> implements LatentCodec {
  async encode(image: Tensor, control: Control = {}): Promise<EncodedImage> {
    const moments = await this.model.encode(image, control);
    const [batch = 0, twice = 0, ...sides] = moments.shape;
    return {
      shape: [batch, twice / 2, ...sides],
      size: moments.size / 2,
      latents: (noise) => latentsOf(moments, this.config, noise?.()),
    };
  }
}

/**
 * VQ autoencoder: latents are the encoder's output before quantization; the decoder quantizes them (LDM's
 * `VQModelInterface`).
 */
class CodebookCodec extends ModuleCodec<VQModel> implements LatentCodec {
  constructor(
    model: VQModel,
    private readonly config: VQModelConfig,
  ) {
    super(model);
  }

  async encode(image: Tensor, control: Control = {}): Promise<EncodedImage> {
    const { latent } = await this.model.encode(image, control);
    return encodedAs(scaled(latent, { scaling_factor: this.config.scaling_factor, shift_factor: 0 }));
  }

  async decode(latent: Tensor, control: Control = {}): Promise<Tensor> {
    return (await this.model.decode(this.unscale(latent), { quantize: true, ...control })).image;
  }

  async tapEncoder(image: Tensor, taps: readonly string[], { signal }: Control = {}) {
    return (await this.model.encode(image, { signal, taps })).taps;
  }

  async tapDecoder(latent: Tensor, taps: readonly string[], { signal }: Control = {}) {
    return (await this.model.decode(this.unscale(latent), { quantize: true, signal, taps })).taps;
  }

  private unscale(latent: Tensor): Tensor {
    return unscaled(latent, { scaling_factor: this.config.scaling_factor, shift_factor: 0 });
  }
}

/** Tiny autoencoder: latents are the encoder's output. */
class TinyCodec extends TiledModuleCodec<TinyAutoencoder, TinyAutoencoderConfig> implements LatentCodec {
  async encode(image: Tensor, control: Control = {}): Promise<EncodedImage> {
    return encodedAs(scaled(await this.model.encode(image, control), this.config));
  }
}

/** Returns the result of an encoder without a distribution. @throws NOT_FINITE */
function encodedAs(latent: Tensor): EncodedImage {
  throwIfNotFinite(latent.data, 'The encoded image');
  return { shape: latent.shape, size: latent.size, latents: () => latent };
}

/** Identity for pixel-space models: latents are pixels in -1..1; with one channel, the mean of the colours. */
class PixelCodec implements LatentCodec {
  constructor(private readonly channels: number) {}

  async encode(image: Tensor): Promise<EncodedImage> {
    const [, , height = 0, width = 0] = image.shape;
    const plane = height * width;
    const { data } = image;
    const pixels =
      this.channels === 3
        ? image
        : Tensor.from(
            Float32Array.from(
              { length: plane },
              (_, i) => (data[i]! + data[plane + i]! + data[2 * plane + i]!) / 3,
            ),
            [1, 1, height, width],
          );
    return { shape: pixels.shape, size: pixels.size, latents: () => pixels };
  }

  async decode(latent: Tensor): Promise<Tensor> {
    return latent.shape[1] === 3 ? latent : latent.repeat(1, 3, 1, 1);
  }

  async tapEncoder(_image: Tensor, [first]: readonly string[]): Promise<Readonly<Record<string, Tensor>>> {
    throw invalidOption('names', 'an empty array (a pixel-space model has no encoder)', first);
  }

  async tapDecoder(_latent: Tensor, [first]: readonly string[]): Promise<Readonly<Record<string, Tensor>>> {
    throw invalidOption('names', 'an empty array (a pixel-space model has no decoder)', first);
  }

  async decodeBytes(): Promise<number> {
    return 0;
  }

  nodes(): NodeInfo[] {
    return [];
  }

  memory(): undefined {
    return undefined;
  }

  dispose(): void {}
}
