/** Pipeline of diffusion models: text to image, image to image, inpainting, and their individual stages. */

import type { MemoryInfo, NodeInfo, Products } from '../../binding/types.js';
import { starterModel } from '../../checkpoint/open.js';
import type { Chunk } from '../../conditioning/chunks.js';
import type { Encoding } from '../../conditioning/prompt-encoder.js';
import { SafelightError } from '../../errors.js';
import { diffusionFamilies } from '../../families/registry.js';
import type { LoadedModel, ModuleName } from '../../families/shared/loaded-model.js';
import type { ImageSource } from '../../image/read.js';
import type { Precision } from '../../modules/module-options.js';
import type { Prediction } from '../../sampling/prediction.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { Warning } from '../../warnings.js';
import type { GeneratedImage } from '../image-result.js';
import type { LoadPipelineOptions } from '../model/load-options.js';
import { loadModel } from '../model/load-pipeline.js';
import type { GenerateOptions } from '../options.js';
import { openPromptFiles, type PromptFiles } from '../prompt-files.js';
import { resolveEach } from '../prompt-list.js';
import { type AttentionMap, type AttentionOptions, attentionMaps } from '../trace/attention-map.js';
import { listNodes, type NodesOptions } from '../trace/nodes.js';
import { type TapOptions, tapStage } from '../trace/tap.js';
import { type DenoiseOptions, denoiseStage } from './denoise-stage.js';
import type { GenerateResult } from './generation.js';
import { productsOfModel } from './products.js';
import { generateEach } from './prompts/prompt-sequence.js';
import {
  type DecodeOptions,
  decodeStage,
  type EncodeImageOptions,
  type EncodeTextOptions,
  encodeImageStage,
  encodeTextStage,
  type TokenizeOptions,
  tokenizeStage,
} from './stages.js';
import { GenerationStream } from './stream.js';

/** Properties of a pipeline's model. */
export interface PipelineInfo {
  /** Absolute path of the file or folder. */
  readonly path: string;
  /** File or folder name without its extension. */
  readonly name: string;
  /** Family such as `sd1` or `sdxl`. */
  readonly family: string;
  /** Quantity that the network predicts. */
  readonly prediction: Prediction;
  /** Default width of images in pixels. */
  readonly width: number;
  /** Default height of images in pixels. */
  readonly height: number;
  /** Downsampling factor: image pixels per latent element along each side, such as 8. */
  readonly factor: number;
  /** Channels of the latent. */
  readonly latentChannels: number;
  /** Modules accepted by `nodes` and `tap`. */
  readonly modules: readonly ModuleName[];
  /** Number format of products that was requested. */
  readonly precision: Precision;
  /** Number format that products have with the modules loaded so far: GPUs and stock operations compute in f32. */
  readonly products: Products;
}

/**
 * A loaded diffusion model. Calls may overlap: each module executes its runs in order, on its own threads.
 */
export class Pipeline implements AsyncDisposable {
  private disposed = false;

  /** For internal use; call `Pipeline.load`. */
  constructor(
    private readonly model: LoadedModel,
    private readonly files: PromptFiles = {},
  ) {}

  /**
   * Loads a model.
   * @param path a diffusers folder, a single file, or the name of a bundled or downloaded model; default the bundled
   *   starter model
   * @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH, INVALID_OPTION,
   *   OUT_OF_MEMORY, BACKEND_UNAVAILABLE, BINARY_NOT_FOUND, ABORTED
   */
  static async load(path: string = starterModel, options: LoadPipelineOptions = {}): Promise<Pipeline> {
    return new Pipeline(await loadModel(path, options, diffusionFamilies), openPromptFiles(options));
  }

  /** Properties of the model. @throws DISPOSED */
  get info(): PipelineInfo {
    const loaded = this.open();
    const { facts, source, moduleSettings } = loaded;
    return {
      path: source.path,
      name: facts.name,
      family: facts.family,
      prediction: facts.prediction,
      width: facts.defaults.width,
      height: facts.defaults.height,
      factor: facts.downsampleFactor,
      latentChannels: facts.latentChannels,
      modules: facts.modules,
      precision: moduleSettings.precision,
      products: productsOfModel(loaded),
    };
  }

  /**
   * Generates images: from noise, from an image (`init`), or repainting a part of an image (`mask`).
   * @throws INVALID_OPTION, FILE_NOT_FOUND and INVALID_IMAGE (`init`, `mask`), NOT_FINITE, OUT_OF_MEMORY, ABORTED,
   *   DISPOSED
   */
  async generate(options: GenerateOptions): Promise<GenerateResult> {
    return this.stream(options).result;
  }

  /**
   * Generates images step by step: `for await (const step of stream) ...`, then `await stream.result`. The latent of
   * a step may be modified. Sampling continues only while steps are requested.
   * @throws INVALID_OPTION, DISPOSED; the stream as `generate`
   */
  stream(options: GenerateOptions): GenerationStream {
    const loaded = this.open();
    const { defaults, downsampleFactor, condition } = loaded.facts;
    const withBatch = loaded.lean ? { batch: 1, ...options } : options;
    return new GenerationStream(
      generateEach(
        loaded,
        resolveEach(withBatch, defaults, downsampleFactor, condition, this.files),
        withBatch,
      ),
    );
  }

  /**
   * Tokenizes a prompt and splits it into chunks for the first text encoder. Of a prompt with several texts (editing,
   * alternation, AND), the first is tokenized.
   * @throws INVALID_OPTION, UNSUPPORTED_MODEL, DISPOSED
   */
  async tokenize(text: string, options: TokenizeOptions = {}): Promise<Chunk[]> {
    return tokenizeStage(this.open(), text, options, this.files);
  }

  /**
   * Encodes a prompt to text embeddings. Of a prompt with several texts (editing, alternation, AND), the first is
   * encoded, with a warning.
   * @throws INVALID_OPTION, UNSUPPORTED_MODEL, NOT_FINITE, ABORTED, DISPOSED, errors of reading an embedding
   */
  async encodeText(prompt: string, options: EncodeTextOptions = {}): Promise<Encoding> {
    return encodeTextStage(this.open(), prompt, options, this.files);
  }

  /**
   * Encodes an image to a latent `[1, C, h, w]`, scaled for the sampler. The image is resized to multiples of the
   * downsampling factor.
   * @throws FILE_NOT_FOUND, INVALID_IMAGE, INVALID_OPTION, NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async encode(image: ImageSource, options: EncodeImageOptions = {}): Promise<Tensor> {
    return encodeImageStage(this.open(), image, options);
  }

  /** Generates latents `[count, C, h, w]` from encoded prompts. @throws as `generate` */
  async denoise(options: DenoiseOptions): Promise<Tensor> {
    return denoiseStage(this.open(), options);
  }

  /** Decodes latents `[B, C, h, w]` to images. @throws SHAPE_MISMATCH, NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED */
  async decode(latent: Tensor, options: DecodeOptions = {}): Promise<GeneratedImage[]> {
    return decodeStage(this.open(), latent, options);
  }

  /** Generates images with maps of the U-Net's attention to a word of the prompt. @throws as `generate` */
  async attentionMap(options: AttentionOptions): Promise<AttentionMap[]> {
    return attentionMaps(this.open(), options, this.files);
  }

  /**
   * Lists the nodes of a module that can be tapped, with their shapes for images of a size.
   * @throws INVALID_OPTION, DISPOSED
   */
  async nodes(options: NodesOptions): Promise<NodeInfo[]> {
    return listNodes(this.open(), options);
  }

  /**
   * Runs a text encoder, the encoder or the decoder and returns the values of named nodes. Nodes of the U-Net are
   * tapped with the option `taps` of `stream`.
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async tap(options: TapOptions): Promise<Readonly<Record<string, Tensor>>> {
    return tapStage(this.open(), options);
  }

  /** Warnings of loading the model, such as a fallback from the GPU to the CPU. */
  get warnings(): readonly Warning[] {
    return this.open().warnings.list;
  }

  /** Returns the memory of the loaded modules in bytes, by name. */
  memory(): Record<string, MemoryInfo> {
    return this.open().memory();
  }

  /** Frees all memory; pending calls reject with DISPOSED. Safe to call again. */
  async dispose(): Promise<void> {
    this.disposed = true;
    this.model.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  private open(): LoadedModel {
    if (this.disposed)
      throw new SafelightError('DISPOSED', 'The pipeline was disposed and can no longer be used');
    return this.model;
  }
}
