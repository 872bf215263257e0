import type { NativeModule } from '../binding/module.js';
import type { NodeInfo } from '../binding/types.js';
import { autoencoderDownsampleFactor } from '../checkpoint/config/diffusers/autoencoder.js';
import type { UnknownIndex, VQModelConfig } from '../checkpoint/config/types.js';
import type { VQModelSource } from '../checkpoint/model-descriptor.js';
import { invalidOption } from '../errors.js';
import { checkCallback, checkSignal } from '../known-keys.js';
import { checkIndices, checkTensor } from '../tensor/check-tensor.js';
import { Tensor } from '../tensor/tensor.js';
import { checkCall, checkEntry, checkFlags, checkSizes, checkSource, type ImageSize } from './check-call.js';
import { CodebookRemap, type PickCode } from './codebook-remap.js';
import {
  type CallOptions,
  type CallResult,
  LoadedModule,
  type LoadOptions,
  loadModule,
} from './loaded-module.js';

export interface QuantizeOptions extends CallOptions {
  /** All distances besides those of the codes chosen: 4 bytes times B h w N. */
  readonly distances?: boolean | undefined;
  /** Of the Gumbel kind, its logits: 4 bytes times B N h w. */
  readonly logits?: boolean | undefined;
  /** Where a table of used codes (`remap`) sends unknown codes to random places; by default always the same ones. */
  readonly pick?: PickCode | undefined;
}

export interface Quantized extends CallResult {
  /** `[B, h, w]`, from 0 to `indexCount` - 1. */
  readonly indices: Tensor<Int32Array>;
  /** `[B, E, h, w]`: the codes' vectors. */
  readonly quantized: Tensor;
  /** `[B, h, w]`: the squared distance of each latent from its code; null of the Gumbel kind. */
  readonly distance: Tensor | null;
  /** `[B, h, w, N]`: squared distances from all codes of the codebook, if asked for. */
  readonly distances: Tensor | null;
  /** `[B, N, h, w]` of the Gumbel kind, if asked for. */
  readonly logits: Tensor | null;
}

export interface DecodeLatentOptions extends CallOptions {
  /** Quantize the latent first, as latent diffusion does with what its sampler gives; false by default. */
  readonly quantize?: boolean | undefined;
}

/**
 * An autoencoder with a codebook, loaded (VQGAN, latent diffusion's VQ models, diffusers' VQModel). Latents are its own: of a diffusion
 * model's sampler they are multiplied by the config's `scaling_factor`.
 */
export class VQModel extends LoadedModule<VQModelConfig> {
  private constructor(
    config: VQModelConfig,
    module: NativeModule,
    /** The table of used codes, if the model has one. */
    readonly remap: CodebookRemap | null,
  ) {
    super(config, module);
  }

  /**
   * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, FILE_NOT_FOUND, INVALID_FILE, OUT_OF_MEMORY, BACKEND_UNAVAILABLE,
   *   BINARY_NOT_FOUND, ABORTED
   */
  static async load(source: VQModelSource, options: LoadOptions = {}): Promise<VQModel> {
    const { config, weights, used, unknownIndex } = checkSource(source);
    const remap =
      used === null ? null : await CodebookRemap.read(used, config.num_vq_embeddings, unknownIndex);
    return new VQModel(config, await loadModule('vq_model', { ...config }, weights, options), remap);
  }

  /** Image pixels per code index along each side, such as 16. */
  get downsampleFactor(): number {
    return autoencoderDownsampleFactor(this.config);
  }

  /** @deprecated use `downsampleFactor` */
  get factor(): number {
    return this.downsampleFactor;
  }

  /** How many different indices there are: the codebook's codes, or those of its table of used ones. */
  get indexCount(): number {
    return this.remap?.size ?? this.config.num_vq_embeddings;
  }

  /** What stands for codes that the table of used ones does not hold; null without a table. */
  get unknownIndex(): UnknownIndex | null {
    return this.remap?.unknown ?? null;
  }

  /**
   * @param image `[B, C, H, W]` in -1..1, sides multiples of `factor`
   * @returns latent `[B, E, H / factor, W / factor]`, not yet quantized
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async encode(image: Tensor, options: CallOptions = {}): Promise<CallResult & { readonly latent: Tensor }> {
    checkCall(options);
    const { shape } = checkTensor('image', image, ['B', this.config.in_channels, 'H', 'W']);
    const [, , height = 0, width = 0] = shape;
    if (height % this.downsampleFactor !== 0 || width % this.downsampleFactor !== 0)
      throw invalidOption(
        'image',
        `sides that are multiples of ${this.downsampleFactor}`,
        `${width} x ${height}`,
      );
    const { outputs, taps, timings } = await this.call('encode', { image }, options);
    return { latent: outputs.latent!, taps, timings };
  }

  /**
   * The code of each latent: the nearest, by the reference's own formula in f32, the first of equals; of the Gumbel kind that of the
   * largest logit, which is what it draws at temperature 0.
   * @param latent `[B, E, h, w]`
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async quantize(latent: Tensor, options: QuantizeOptions = {}): Promise<Quantized> {
    checkCall(options, 'distances', 'logits', 'pick');
    checkFlags(options, 'distances', 'logits');
    checkCallback('pick', options.pick);
    checkTensor('latent', latent, ['B', this.config.vq_embed_dim, 'h', 'w']);
    const { distances = false, logits = false, pick = samePicks(), ...call } = options;
    const params = { distances, logits };
    const result = await this.call('quantize', { latent, ...this.mask() }, call, params);
    const { outputs, taps, timings } = result;
    const { data, shape } = result.integers.indices!;
    return {
      indices: Tensor.from(this.remap?.toPlaces(data, pick) ?? data, shape),
      quantized: outputs.quantized!,
      distance: outputs.distance ?? null,
      distances: outputs.distances ?? null,
      logits: outputs.logits ?? null,
      taps,
      timings,
    };
  }

  /**
   * The codes' vectors.
   * @param indices `[B, h, w]`, from 0 to `indexCount` - 1
   * @returns `[B, E, h, w]`
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async lookup(indices: Tensor<Int32Array>, options: CallOptions = {}): Promise<Tensor> {
    checkCall(options);
    const { outputs } = await this.call('lookup', { indices: this.codes(indices) }, options);
    return outputs.quantized!;
  }

  /**
   * @param latent `[B, E, h, w]`, or the indices `[B, h, w]` of codes
   * @returns image `[B, C, h * factor, w * factor]`, in -1..1 or a little beyond
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async decode(
    latent: Tensor | Tensor<Int32Array>,
    options: DecodeLatentOptions = {},
  ): Promise<CallResult & { readonly image: Tensor }> {
    const { quantize = false, ...call } = checkCall(options, 'quantize');
    checkFlags(options, 'quantize');
    const result = isIndices(latent)
      ? await this.call('decode', { indices: this.codes(latent) }, call)
      : await this.call('decode', { latent: this.latent(latent), ...(quantize ? this.mask() : {}) }, call, {
          quantize,
        });
    const { outputs, taps, timings } = result;
    return { image: outputs.image!, taps, timings };
  }

  /** Bytes of the buffers that decoding a quantized picture of `height` x `width` pixels needs. @throws ABORTED, DISPOSED */
  async decodeBytes(height: number, width: number, signal?: AbortSignal): Promise<number> {
    checkSizes({ height, width });
    checkSignal('signal', signal);
    const latent = [
      1,
      this.config.vq_embed_dim,
      height / this.downsampleFactor,
      width / this.downsampleFactor,
    ];
    return this.needed('decode', { latent }, signal);
  }

  /** Everything that can be tapped for a picture of `height` x `width` pixels. */
  nodes(entry: 'encode' | 'quantize' | 'decode', size: ImageSize = {}): NodeInfo[] {
    checkEntry(entry, 'encode', 'quantize', 'decode');
    checkSizes(size, 'batch', 'height', 'width');
    const { batch = 1, height = 256, width = 256 } = size;
    const { downsampleFactor, config } = this;
    const small = [Math.floor(height / downsampleFactor), Math.floor(width / downsampleFactor)];
    return this.listNodes(
      entry,
      entry === 'encode'
        ? { image: [batch, config.in_channels, height, width] }
        : { latent: [batch, config.vq_embed_dim, ...small] },
      entry === 'decode' ? { quantize: true } : {},
    );
  }

  private latent(latent: Tensor): Tensor {
    return checkTensor('latent', latent, ['B', this.config.vq_embed_dim, 'h', 'w']);
  }

  /** Indices as codes of the codebook. */
  private codes(indices: Tensor<Int32Array>): Tensor<Int32Array> {
    if (!isIndices(indices)) throw invalidOption('indices', 'a Tensor of whole numbers (i32)', indices);
    checkIndices('indices', indices, ['B', 'h', 'w']);
    const { remap, indexCount } = this;
    const wrong = indices.data.find((index) => index < 0 || index >= indexCount);
    if (wrong !== undefined)
      throw invalidOption('indices', `integers between 0 and ${indexCount - 1}`, wrong);
    if (remap === null) return indices;
    return Tensor.from(remap.toIndices(indices.data), indices.shape);
  }

  /** Of the Gumbel kind only used codes may win; of the other kind those that are not become unknown afterwards. */
  private mask(): { mask?: Tensor } {
    const { remap, config } = this;
    if (remap === null || config.quantizer !== 'gumbel') return {};
    return { mask: Tensor.from(remap.mask(config.num_vq_embeddings), [config.num_vq_embeddings]) };
  }
}

function isIndices(tensor: unknown): tensor is Tensor<Int32Array> {
  return tensor instanceof Tensor && tensor.data instanceof Int32Array;
}

/** A picture's codes should not change from call to call: the same picks each time, spread evenly (Weyl's sequence). */
function samePicks(): PickCode {
  let drawn = 0;
  return (below) => Math.floor(((++drawn * 0.6180339887498949) % 1) * below);
}
