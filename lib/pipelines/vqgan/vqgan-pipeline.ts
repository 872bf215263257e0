/** Pipeline of VQGAN models: reconstruction, code indices, sampling and scores. */

import type { MemoryInfo } from '../../binding/types.js';
import { SafelightError, unlessAborted } from '../../errors.js';
import { sketchStarter } from '../../families/shared/vqgan/vqgan-defaults.js';
import type { ImageSource } from '../../image/read.js';
import type { Warning } from '../../warnings.js';
import type { GeneratedImage } from '../image-result.js';
import { encodeCondition } from './condition.js';
import type { CodeGrid } from './grid.js';
import { checkLoadVqganOptions, type LoadVqganOptions } from './load-options.js';
import {
  type DecodeIndicesOptions,
  decodeIndicesStage,
  type EncodedIndices,
  encodeIndicesStage,
  type Reconstruction,
  reconstructStage,
  type VqganImageOptions,
} from './reconstruct.js';
import { sampleSteps, VqganStream } from './sample.js';
import {
  checkSampleOptions,
  checkSketchOptions,
  type DrawOptions,
  resolveClass,
  resolveSampleOptions,
  type SampleOptions,
  sideOf,
} from './sample-options.js';
import { type Score, type ScoreOptions, scoreStage } from './score.js';
import { VqganModel } from './vqgan-model.js';

/** Properties of a VQGAN model. */
export interface VqganInfo {
  /** Absolute path of the file or folder. */
  readonly path: string;
  /** Downsampling factor: image pixels per code along each side, such as 16. */
  readonly factor: number;
  /** Number of distinct code indices; null for a KL autoencoder. */
  readonly vocabulary: number | null;
  /** Kind of condition of the transformer; null without a transformer. */
  readonly condition: 'none' | 'class' | 'coordinates' | 'image' | null;
  /** Number of classes; null for models that are not class-conditional. */
  readonly classes: number | null;
  /** Default side length of sampled images in pixels; null without a transformer. */
  readonly size: number | null;
  /** True if the model includes its discriminator. */
  readonly discriminator: boolean;
}

/**
 * A loaded VQGAN model. Calls may overlap: each module executes its runs in order, on its own threads.
 */
export class VqganPipeline implements AsyncDisposable {
  private disposed = false;

  private constructor(private readonly model: VqganModel) {}

  /**
   * Loads a model.
   * @param path a checkpoint of taming-transformers or CompVis, a folder with one, or a diffusers folder of a
   *   `VQModel`; default the bundled starter model, which generates images from sketches
   * @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH, INVALID_OPTION,
   *   OUT_OF_MEMORY, BACKEND_UNAVAILABLE, BINARY_NOT_FOUND, ABORTED
   */
  static async load(path: string = sketchStarter, options: LoadVqganOptions = {}): Promise<VqganPipeline> {
    const { open, modules: settings, signal, onProgress, warnings } = checkLoadVqganOptions(options);
    const model = await unlessAborted(VqganModel.open(path, open, settings, warnings), signal);
    try {
      await model.load(signal, onProgress);
    } catch (error) {
      model.dispose();
      throw error;
    }
    return new VqganPipeline(model);
  }

  /** Properties of the model. @throws DISPOSED */
  get info(): VqganInfo {
    const model = this.open();
    const { path, transformer, condition, discriminator } = model.source;
    return {
      path,
      factor: model.downsampleFactor,
      vocabulary: model.vocabulary,
      condition: transformer && condition.kind,
      classes: condition.kind === 'class' ? condition.classes : null,
      size: transformer && sideOf(model) * model.downsampleFactor,
      discriminator: discriminator !== null,
    };
  }

  /**
   * Encodes and decodes an image.
   * @throws FILE_NOT_FOUND, INVALID_IMAGE, INVALID_OPTION, NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async reconstruct(image: ImageSource, options: VqganImageOptions = {}): Promise<Reconstruction> {
    return reconstructStage(this.open(), image, options);
  }

  /**
   * Encodes an image to code indices.
   * @throws as `reconstruct`, and UNSUPPORTED_MODEL for a model without a codebook
   */
  async codes(image: ImageSource, options: VqganImageOptions = {}): Promise<EncodedIndices> {
    return encodeIndicesStage(this.open(), image, options);
  }

  /**
   * Decodes code indices `[H/f][W/f]` to an image.
   * @throws INVALID_OPTION for codes that are not a rectangle or not in the vocabulary, UNSUPPORTED_MODEL,
   *   NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async decodeCodes(codes: CodeGrid, options: DecodeIndicesOptions = {}): Promise<GeneratedImage> {
    return decodeIndicesStage(this.open(), codes, options);
  }

  /**
   * Samples an image: class-conditional, unconditional, or with a white image as condition for image-conditional
   * models. `for await (const step of stream) ...` yields each code with a preview; `await stream.result` runs to the
   * end. Options are validated at once.
   * @throws INVALID_OPTION, UNSUPPORTED_MODEL, DISPOSED; the stream also NOT_FINITE, SHAPE_MISMATCH, OUT_OF_MEMORY,
   *   ABORTED
   */
  sample(options: SampleOptions = {}): VqganStream {
    checkSampleOptions(options);
    const index = resolveClass(this.open().source.condition, options.class);
    return this.startSampling(options, { index, image: undefined });
  }

  /**
   * Samples an image conditioned on a sketch, depth map or segmentation map, depending on the model.
   * @throws INVALID_OPTION, UNSUPPORTED_MODEL (also for a model that is not image-conditional), DISPOSED; the stream
   *   also FILE_NOT_FOUND, INVALID_IMAGE, NOT_FINITE, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED
   */
  sketch(image: ImageSource, options: DrawOptions = {}): VqganStream {
    checkSketchOptions(options);
    this.open().checkImageCondition();
    return this.startSampling(options, { index: undefined, image });
  }

  /**
   * Scores an image under the model: discriminator logits per patch, training losses, and log likelihood of the code
   * indices.
   * @throws as `reconstruct`
   */
  async score(image: ImageSource, options: ScoreOptions = {}): Promise<Score> {
    return scoreStage(this.open(), image, options);
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

  private startSampling(
    options: DrawOptions,
    conditionInput: { readonly index: number | undefined; readonly image: ImageSource | undefined },
  ): VqganStream {
    const model = this.open();
    const settings = resolveSampleOptions(model, options);
    const { downsampleFactor } = model;
    const size = { width: settings.width * downsampleFactor, height: settings.height * downsampleFactor };
    const { signal } = settings;
    return new VqganStream(
      sampleSteps(model, settings, () => encodeCondition(model, { ...conditionInput, size, signal })),
    );
  }

  private open(): VqganModel {
    if (this.disposed)
      throw new SafelightError('DISPOSED', 'The pipeline was disposed and can no longer be used');
    return this.model;
  }
}
