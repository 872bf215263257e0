/** Between pictures and latents as the sampler sees them, whatever a model has for it: a KL autoencoder, a codebook's, or nothing. */

import type { MemoryInfo, NodeInfo } from '../../binding/types.js';
import type { AutoencoderConfig, VQModelConfig } from '../../checkpoint/config/types.js';
import type { LatentSource } from '../../checkpoint/model-descriptor.js';
import { invalidOption } from '../../errors.js';
import { Autoencoder } from '../../modules/autoencoder.js';
import type { LoadOptions } from '../../modules/loaded-module.js';
import { VQModel } from '../../modules/vq-model.js';
import { throwIfNotFinite } from '../../tensor/finite.js';
import { Tensor } from '../../tensor/tensor.js';
import { latentsOf, unscaled } from './latents.js';

interface Control {
  readonly signal?: AbortSignal | undefined;
}

/** A picture that was encoded. */
export interface EncodedImage {
  /** Of its latent: `[1, C, h, w]`. */
  readonly shape: readonly number[];
  /** Numbers of it. */
  readonly size: number;
  /**
   * Its latent, or a batch of them, scaled for the sampler.
   * @param draw `[B, C * h * w]` normal numbers for samples of the encoder's distribution, asked for only if it gives one; without it,
   *   the mean. @throws NOT_FINITE
   */
  latents(draw?: () => Float32Array | undefined): Tensor;
}

export interface LatentCodec {
  /** @param image `[1, 3, H, W]` in -1..1. @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED */
  encode(image: Tensor, control?: Control): Promise<EncodedImage>;
  /**
   * @param latent `[B, C, h, w]` as the sampler gives it
   * @returns `[B, 3, H, W]`, in -1..1 or a little beyond. @throws SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  decode(latent: Tensor, control?: Control): Promise<Tensor>;
  /** What encoding an image `[1, 3, H, W]` computes on the way, as `tapDecoder` does. */
  tapEncoder(
    image: Tensor,
    taps: readonly string[],
    control?: Control,
  ): Promise<Readonly<Record<string, Tensor>>>;
  /** What decoding a latent computes on the way, by the names of nodes. @throws INVALID_OPTION for a name that there is not */
  tapDecoder(
    latent: Tensor,
    taps: readonly string[],
    control?: Control,
  ): Promise<Readonly<Record<string, Tensor>>>;
  /** Bytes of the buffers that decoding a picture of so many pixels needs. */
  decodeBytes(height: number, width: number, signal?: AbortSignal): Promise<number>;
  /** What can be tapped for a picture of `height` x `width` pixels. */
  nodes(entry: 'encode' | 'decode', size: { batch: number; height: number; width: number }): NodeInfo[];
  /** Undefined where nothing is loaded for it. */
  memory(): MemoryInfo | undefined;
  dispose(): void;
}

/** @throws what loading an autoencoder throws */
export async function loadCodec(source: LatentSource, options: LoadOptions): Promise<LatentCodec> {
  switch (source.kind) {
    case 'autoencoder_kl':
      return new DistributionCodec(await Autoencoder.load(source, options), source.config);
    case 'vq_model':
      return new CodebookCodec(await VQModel.load(source, options), source.config);
    case 'pixels':
      return new PixelCodec(source.config.latent_channels);
  }
}

/** The size, nodes and memory of a codec are those of its module. */
abstract class ModuleCodec<Model extends Autoencoder | VQModel> {
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

/** Latents are drawn from the encoder's distribution, or its mean. */
class DistributionCodec extends ModuleCodec<Autoencoder> implements LatentCodec {
  constructor(
    model: Autoencoder,
    private readonly config: AutoencoderConfig,
  ) {
    super(model);
  }

  async encode(image: Tensor, control: Control = {}): Promise<EncodedImage> {
    const moments = await this.model.encode(image, control);
    const [batch = 0, twice = 0, ...sides] = moments.shape;
    return {
      shape: [batch, twice / 2, ...sides],
      size: moments.size / 2,
      latents: (draw) => latentsOf(moments, this.config, draw?.()),
    };
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

/** Latents are what the encoder gives before it is quantized; the decoder quantizes them first (LDM's `VQModelInterface`). */
class CodebookCodec extends ModuleCodec<VQModel> implements LatentCodec {
  constructor(
    model: VQModel,
    private readonly config: VQModelConfig,
  ) {
    super(model);
  }

  async encode(image: Tensor, { signal }: Control = {}): Promise<EncodedImage> {
    const { latent } = await this.model.encode(image, { signal });
    const scaled = Tensor.from(
      latent.data.map((value) => value * this.config.scaling_factor),
      latent.shape,
    );
    throwIfNotFinite(scaled.data, 'The encoded picture');
    return { shape: latent.shape, size: latent.size, latents: () => scaled };
  }

  async decode(latent: Tensor, { signal }: Control = {}): Promise<Tensor> {
    return (await this.model.decode(this.own(latent), { quantize: true, signal })).image;
  }

  async tapEncoder(image: Tensor, taps: readonly string[], { signal }: Control = {}) {
    return (await this.model.encode(image, { signal, taps })).taps;
  }

  async tapDecoder(latent: Tensor, taps: readonly string[], { signal }: Control = {}) {
    return (await this.model.decode(this.own(latent), { quantize: true, signal, taps })).taps;
  }

  private own(latent: Tensor): Tensor {
    return unscaled(latent, { scaling_factor: this.config.scaling_factor, shift_factor: 0 });
  }
}

/** The sampler's latents are the picture's pixels from -1 to 1; gray ones are the mean of the colours. */
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
    throw invalidOption('names', 'nothing (pixels need no encoder)', first);
  }

  async tapDecoder(_latent: Tensor, [first]: readonly string[]): Promise<Readonly<Record<string, Tensor>>> {
    throw invalidOption('names', 'nothing (pixels need no decoder)', first);
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
