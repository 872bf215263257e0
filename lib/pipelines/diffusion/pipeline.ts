/** Text to image, and everything on the way, with one model. */

import type { MemoryInfo, NodeInfo } from '../../binding/types.js';
import { starterModel } from '../../checkpoint/open.js';
import type { Chunk } from '../../conditioning/chunks.js';
import type { Encoding } from '../../conditioning/prompt-encoder.js';
import { SafelightError } from '../../errors.js';
import { diffusionFamilies } from '../../families/registry.js';
import type { LoadedModel, ModuleName } from '../../families/shared/loaded-model.js';
import type { ImageSource } from '../../image/read.js';
import type { Prediction } from '../../sampling/prediction.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { Warning } from '../../warnings.js';
import type { GeneratedImage } from '../image-result.js';
import type { LoadPipelineOptions } from '../model/load-options.js';
import { loadModel } from '../model/load-pipeline.js';
import type { GenerateOptions } from '../options.js';
import { resolveEach } from '../prompt-list.js';
import { type AttentionMap, type AttentionOptions, attentionMaps } from '../trace/attention-map.js';
import { listNodes, type NodesOptions } from '../trace/nodes.js';
import { type TapOptions, tapStage } from '../trace/tap.js';
import { type DenoiseOptions, denoiseStage } from './denoise-stage.js';
import type { GenerateResult } from './generation.js';
import { generateEach } from './prompt-sequence.js';
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

/** What a pipeline's model is. */
export interface PipelineInfo {
  readonly path: string;
  readonly name: string;
  readonly family: string;
  /** The quantity that the network predicts. */
  readonly prediction: Prediction;
  /** Pixels; what `generate` makes unless told otherwise. */
  readonly width: number;
  readonly height: number;
  /** Pixels a side that one number of the latent stands for, and numbers for each such square. */
  readonly factor: number;
  readonly latentChannels: number;
  /** Those of the model that `nodes` and `tap` know. */
  readonly modules: readonly ModuleName[];
}

/**
 * A model ready to make pictures. Calls may overlap: each module works through its runs in order. Everything heavy happens on
 * the modules' own threads.
 */
export class Pipeline implements AsyncDisposable {
  private disposed = false;

  /** @param model as a family loads it; `Pipeline.load` is for everybody else */
  constructor(private readonly model: LoadedModel) {}

  /**
   * @param path a diffusers folder or a safetensors file; default: the small model that comes with the package
   * @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH, INVALID_OPTION, OUT_OF_MEMORY,
   *   BACKEND_UNAVAILABLE, BINARY_NOT_FOUND, ABORTED
   */
  static async load(path: string = starterModel, options: LoadPipelineOptions = {}): Promise<Pipeline> {
    return new Pipeline(await loadModel(path, options, diffusionFamilies));
  }

  get info(): PipelineInfo {
    const { facts, source } = this.open();
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
    };
  }

  /**
   * Makes pictures of a prompt: from noise, from a picture (`init`), or repainting a part of one (`mask`).
   * @throws INVALID_OPTION, FILE_NOT_FOUND and INVALID_IMAGE (`init`, `mask`), NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async generate(options: GenerateOptions): Promise<GenerateResult> {
    return this.stream(options).result;
  }

  /**
   * The same, step by step: `for await (const step of stream) ...`, then `await stream.result`. A step's latent may be changed.
   * Work goes on only while steps are asked for.
   */
  stream(options: GenerateOptions): GenerationStream {
    const loaded = this.open();
    const { defaults, downsampleFactor, condition } = loaded.facts;
    const asked = loaded.lean ? { batch: 1, ...options } : options;
    return new GenerationStream(
      generateEach(loaded, resolveEach(asked, defaults, downsampleFactor, condition)),
    );
  }

  /** The windows of tokens that a prompt becomes, for the first text encoder. */
  async tokenize(text: string, options: TokenizeOptions = {}): Promise<Chunk[]> {
    return tokenizeStage(this.open(), text, options);
  }

  /** A prompt as the U-Net attends to it. @throws INVALID_OPTION, NOT_FINITE, ABORTED, DISPOSED */
  async encodeText(prompt: string, options: EncodeTextOptions = {}): Promise<Encoding> {
    return encodeTextStage(this.open(), prompt, options);
  }

  /**
   * The latent `[1, C, h, w]` of a picture, scaled as the sampler sees it; resized to the latent grid if need be.
   * @throws FILE_NOT_FOUND, INVALID_IMAGE, INVALID_OPTION, NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async encode(image: ImageSource, options: EncodeImageOptions = {}): Promise<Tensor> {
    return encodeImageStage(this.open(), image, options);
  }

  /** Latents `[count, C, h, w]` of encoded prompts. @throws as `generate` */
  async denoise(options: DenoiseOptions): Promise<Tensor> {
    return denoiseStage(this.open(), options);
  }

  /** Pictures of latents `[B, C, h, w]`. @throws SHAPE_MISMATCH, NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED */
  async decode(latent: Tensor, options: DecodeOptions = {}): Promise<GeneratedImage[]> {
    return decodeStage(this.open(), latent, options);
  }

  /** Generates, and shows for each picture where the U-Net attended to a word of the prompt. @throws as `generate` */
  async attentionMap(options: AttentionOptions): Promise<AttentionMap[]> {
    return attentionMaps(this.open(), options);
  }

  /** Names and shapes of everything that can be tapped in a module, for pictures of a size. */
  async nodes(options: NodesOptions): Promise<NodeInfo[]> {
    return listNodes(this.open(), options);
  }

  /** Reads inside of a run of a text encoder, the encoder or the decoder; the U-Net's tensors come with `stream`'s steps (`taps`). */
  async tap(options: TapOptions): Promise<Readonly<Record<string, Tensor>>> {
    return tapStage(this.open(), options);
  }

  /** Warnings of loading the model, such as of a GPU that could not be used. */
  get warnings(): readonly Warning[] {
    return this.open().warnings.list;
  }

  /** Bytes of the modules that are loaded, by name. */
  memory(): Record<string, MemoryInfo> {
    return this.open().memory();
  }

  /** Gives all memory back; calls under way reject with DISPOSED. Safe to call again. */
  async dispose(): Promise<void> {
    this.disposed = true;
    this.model.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  private open(): LoadedModel {
    if (this.disposed)
      throw new SafelightError('DISPOSED', 'The pipeline was disposed and cannot be used any more');
    return this.model;
  }
}
