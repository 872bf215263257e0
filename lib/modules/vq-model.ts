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
  /** Also returns the distances to all codes: 4 bytes times B h w N. Default false. */
  readonly distances?: boolean | undefined;
  /** Also returns the logits of a Gumbel quantizer: 4 bytes times B N h w. Default false. */
  readonly logits?: boolean | undefined;
  /**
   * Chooses positions for codes outside the table of used codes (`remap`) if the model maps them to random positions.
   * The default is a fixed sequence, so that the same image always has the same indices.
   */
  readonly pick?: PickCode | undefined;
}

export interface Quantized extends CallResult {
  /** `[B, h, w]`, between 0 and `indexCount` - 1. */
  readonly indices: Tensor<Int32Array>;
  /** `[B, E, h, w]`: the codebook vectors of the indices. */
  readonly quantized: Tensor;
  /** `[B, h, w]`: the squared distance of each latent to its code; null for Gumbel quantizers. */
  readonly distance: Tensor | null;
  /** `[B, h, w, N]`: squared distances to all codes of the codebook, with `distances`; otherwise null. */
  readonly distances: Tensor | null;
  /** `[B, N, h, w]`, with `logits` and a Gumbel quantizer; otherwise null. */
  readonly logits: Tensor | null;
}

export interface CodecOptions extends CallOptions {
  /** Convolutions wrap around the edges, so that the image tiles seamlessly. Default false. */
  readonly seamless?: boolean | undefined;
}

export interface DecodeLatentOptions extends CodecOptions {
  /** Quantizes the latent before decoding, as latent diffusion does with sampled latents. Default false. */
  readonly quantize?: boolean | undefined;
}

/**
 * A loaded autoencoder with a codebook (VQGAN, VQ models of latent diffusion, VQModel of diffusers). Its latents are
 * unscaled; a diffusion sampler works on latents multiplied by `scaling_factor` of the config.
 */
export class VQModel extends LoadedModule<VQModelConfig> {
  private constructor(
    config: VQModelConfig,
    module: NativeModule,
    /** Table of used codes; null if the model uses the whole codebook. */
    readonly remap: CodebookRemap | null,
  ) {
    super(config, module);
  }

  /**
   * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, FILE_NOT_FOUND, INVALID_FILE, OUT_OF_MEMORY,
   *   BACKEND_UNAVAILABLE, BINARY_NOT_FOUND, ABORTED
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

  /** Number of distinct code indices: the size of the codebook, or of its table of used codes. */
  get indexCount(): number {
    return this.remap?.size ?? this.config.num_vq_embeddings;
  }

  /** Index given to codes outside the table of used codes; null without a table. */
  get unknownIndex(): UnknownIndex | null {
    return this.remap?.unknown ?? null;
  }

  /**
   * Encodes images to latents before quantization.
   * @param image `[B, C, H, W]` in -1..1, sides multiples of f = `downsampleFactor`
   * @returns latent `[B, E, H / f, W / f]`
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async encode(image: Tensor, options: CodecOptions = {}): Promise<CallResult & { readonly latent: Tensor }> {
    const { seamless = false, ...call } = checkCall(options, 'seamless');
    checkFlags(options, 'seamless');
    const { shape } = checkTensor('image', image, ['B', this.config.in_channels, 'H', 'W']);
    const [, , height = 0, width = 0] = shape;
    if (height % this.downsampleFactor !== 0 || width % this.downsampleFactor !== 0)
      throw invalidOption(
        'image',
        `sides that are multiples of ${this.downsampleFactor}`,
        `${width} x ${height}`,
      );
    const { outputs, taps, timings } = await this.call('encode', { image }, call, { seamless });
    return { latent: outputs.latent!, taps, timings };
  }

  /**
   * Assigns a code to each latent: the nearest one (the reference's formula in f32; the first of equally near ones),
   * or for Gumbel quantizers the one with the largest logit, which equals sampling at temperature 0.
   * @param latent `[B, E, h, w]`
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async quantize(latent: Tensor, options: QuantizeOptions = {}): Promise<Quantized> {
    checkCall(options, 'distances', 'logits', 'pick');
    checkFlags(options, 'distances', 'logits');
    checkCallback('pick', options.pick);
    checkTensor('latent', latent, ['B', this.config.vq_embed_dim, 'h', 'w']);
    const { distances = false, logits = false, pick = fixedPicks(), ...call } = options;
    const params = { distances, logits };
    const result = await this.call('quantize', { latent, ...this.mask() }, call, params);
    const { outputs, taps, timings } = result;
    const { data, shape } = result.integers.indices!;
    return {
      indices: Tensor.from(this.remap?.toPositions(data, pick) ?? data, shape),
      quantized: outputs.quantized!,
      distance: outputs.distance ?? null,
      distances: outputs.distances ?? null,
      logits: outputs.logits ?? null,
      taps,
      timings,
    };
  }

  /**
   * Looks up the codebook vectors of code indices.
   * @param indices `[B, h, w]`, between 0 and `indexCount` - 1
   * @returns `[B, E, h, w]`
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async lookup(indices: Tensor<Int32Array>, options: CallOptions = {}): Promise<Tensor> {
    checkCall(options);
    const { outputs } = await this.call('lookup', { indices: this.codes(indices) }, options);
    return outputs.quantized!;
  }

  /**
   * Decodes latents or code indices to images.
   * @param latent `[B, E, h, w]`, or code indices `[B, h, w]`
   * @returns image `[B, C, h * f, w * f]` with f = `downsampleFactor`, nominally in -1..1 but not clamped
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async decode(
    latent: Tensor | Tensor<Int32Array>,
    options: DecodeLatentOptions = {},
  ): Promise<CallResult & { readonly image: Tensor }> {
    const { quantize = false, seamless = false, ...call } = checkCall(options, 'quantize', 'seamless');
    checkFlags(options, 'quantize', 'seamless');
    const result = isIndices(latent)
      ? await this.call('decode', { indices: this.codes(latent) }, call, { seamless })
      : await this.call('decode', { latent: this.latent(latent), ...(quantize ? this.mask() : {}) }, call, {
          ...{ quantize, seamless },
        });
    const { outputs, taps, timings } = result;
    return { image: outputs.image!, taps, timings };
  }

  /**
   * Returns the bytes of compute buffers for decoding an image of `height` x `width` pixels.
   * @throws ABORTED, DISPOSED
   */
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

  /** Lists the nodes that can be tapped for images of `height` x `width` pixels, 256 by default. */
  nodes(entry: 'encode' | 'quantize' | 'decode', size: ImageSize = {}): NodeInfo[] {
    checkEntry(entry, 'encode', 'quantize', 'decode');
    checkSizes(size, 'batch', 'height', 'width');
    const { batch = 1, height = 256, width = 256 } = size;
    const { downsampleFactor, config } = this;
    const latentSize = [Math.floor(height / downsampleFactor), Math.floor(width / downsampleFactor)];
    return this.listNodes(
      entry,
      entry === 'encode'
        ? { image: [batch, config.in_channels, height, width] }
        : { latent: [batch, config.vq_embed_dim, ...latentSize] },
      entry === 'decode' ? { quantize: true } : {},
    );
  }

  private latent(latent: Tensor): Tensor {
    return checkTensor('latent', latent, ['B', this.config.vq_embed_dim, 'h', 'w']);
  }

  /** Checks code indices and converts them to codes of the codebook. */
  private codes(indices: Tensor<Int32Array>): Tensor<Int32Array> {
    if (!isIndices(indices)) throw invalidOption('indices', 'a Tensor of integers (i32)', indices);
    checkIndices('indices', indices, ['B', 'h', 'w']);
    const { remap, indexCount } = this;
    const wrong = indices.data.find((index) => index < 0 || index >= indexCount);
    if (wrong !== undefined)
      throw invalidOption('indices', `integers between 0 and ${indexCount - 1}`, wrong);
    if (remap === null) return indices;
    return Tensor.from(remap.toCodes(indices.data), indices.shape);
  }

  /**
   * Restricts a Gumbel quantizer to used codes. Other quantizers need no mask: unused codes are remapped afterwards.
   */
  private mask(): { mask?: Tensor } {
    const { remap, config } = this;
    if (remap === null || config.quantizer !== 'gumbel') return {};
    return { mask: Tensor.from(remap.mask(config.num_vq_embeddings), [config.num_vq_embeddings]) };
  }
}

function isIndices(tensor: unknown): tensor is Tensor<Int32Array> {
  return tensor instanceof Tensor && tensor.data instanceof Int32Array;
}

/**
 * Returns the same evenly distributed picks (a Weyl sequence) on every call, so that an image always has the same
 * indices.
 */
function fixedPicks(): PickCode {
  let count = 0;
  return (below) => Math.floor(((++count * 0.6180339887498949) % 1) * below);
}
