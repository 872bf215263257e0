/** Pictures as codes, and codes as pictures, with one model: an autoencoder with a codebook, and what was trained around it. */

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
  resolveDraw,
  type SampleOptions,
  sideOf,
} from './sample-options.js';
import { type Score, type ScoreOptions, scoreStage } from './score.js';
import { VqganModel } from './vqgan-model.js';

/** What a model of codes is. */
export interface VqganInfo {
  readonly path: string;
  /** Pixels a side that one code stands for. */
  readonly factor: number;
  /** Codes there are; null of a KL autoencoder, which has none. */
  readonly vocabulary: number | null;
  /** What its transformer reads before the picture's codes; null of an autoencoder alone. */
  readonly condition: 'none' | 'class' | 'coordinates' | 'image' | null;
  /** Of a class-conditional model. */
  readonly classes: number | null;
  /** Pixels; what `sample` makes unless told otherwise; null of an autoencoder alone. */
  readonly size: number | null;
  /** Whether it carries the discriminator it was trained against. */
  readonly discriminator: boolean;
}

/**
 * A model of codes, ready. Calls may overlap: each module works through its runs in order. Everything heavy happens on the modules' own
 * threads.
 */
export class VqganPipeline implements AsyncDisposable {
  private disposed = false;

  private constructor(private readonly modules: VqganModel) {}

  /**
   * @param path a checkpoint of taming's or CompVis', a folder with one, or diffusers' `VQModel` folder; default: the small model that
   *   comes with the package, which draws after sketches
   * @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH, INVALID_OPTION, OUT_OF_MEMORY,
   *   BACKEND_UNAVAILABLE, BINARY_NOT_FOUND, ABORTED
   */
  static async load(path: string = sketchStarter, options: LoadVqganOptions = {}): Promise<VqganPipeline> {
    const { open, modules: settings, signal, onProgress, warnings } = checkLoadVqganOptions(options);
    const modules = await unlessAborted(VqganModel.open(path, open, settings, warnings), signal);
    try {
      await modules.load(signal, onProgress);
    } catch (error) {
      modules.dispose();
      throw error;
    }
    return new VqganPipeline(modules);
  }

  get info(): VqganInfo {
    const modules = this.open();
    const { path, transformer, condition, discriminator } = modules.source;
    return {
      path,
      factor: modules.downsampleFactor,
      vocabulary: modules.vocabulary,
      condition: transformer && condition.kind,
      classes: condition.kind === 'class' ? condition.classes : null,
      size: transformer && sideOf(modules) * modules.downsampleFactor,
      discriminator: discriminator !== null,
    };
  }

  /**
   * Encodes a picture and decodes it again.
   * @throws FILE_NOT_FOUND, INVALID_IMAGE, INVALID_OPTION, NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async reconstruct(image: ImageSource, options: VqganImageOptions = {}): Promise<Reconstruction> {
    return reconstructStage(this.open(), image, options);
  }

  /** The codes of a picture. @throws as `reconstruct`, and UNSUPPORTED_MODEL for a model without a codebook */
  async codes(image: ImageSource, options: VqganImageOptions = {}): Promise<EncodedIndices> {
    return encodeIndicesStage(this.open(), image, options);
  }

  /**
   * The picture of codes `[H/f][W/f]`.
   * @throws INVALID_OPTION for anything but a rectangle of codes that there are, UNSUPPORTED_MODEL, NOT_FINITE, OUT_OF_MEMORY, ABORTED,
   *   DISPOSED
   */
  async decodeCodes(codes: CodeGrid, options: DecodeIndicesOptions = {}): Promise<GeneratedImage> {
    return decodeIndicesStage(this.open(), codes, options);
  }

  /**
   * Lets the transformer write a picture: of a class, of nothing, or of an empty page where it draws after pictures. `for await (const step
   * of stream) ...` shows each code and the picture so far; `await stream.result` runs to the end. Options are checked at once.
   * @throws INVALID_OPTION, UNSUPPORTED_MODEL, DISPOSED; the stream also NOT_FINITE, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED
   */
  sample(options: SampleOptions = {}): VqganStream {
    checkSampleOptions(options);
    const index = resolveClass(this.open().source.condition, options.class);
    return this.draw(options, { index, image: undefined });
  }

  /**
   * Lets the transformer write a picture after a drawing, a map of depths or of classes: whatever the model was trained on.
   * @throws INVALID_OPTION, UNSUPPORTED_MODEL (also for a model that is not conditioned on pictures), DISPOSED; the stream also
   *   FILE_NOT_FOUND, INVALID_IMAGE, NOT_FINITE, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED
   */
  sketch(image: ImageSource, options: DrawOptions = {}): VqganStream {
    checkSketchOptions(options);
    this.open().checkImageCondition();
    return this.draw(options, { index: undefined, image });
  }

  /**
   * How a model sees a picture: its discriminator's word on each patch, the losses it was trained with, and how probable its transformer
   * thinks the picture's codes.
   * @throws as `reconstruct`
   */
  async score(image: ImageSource, options: ScoreOptions = {}): Promise<Score> {
    return scoreStage(this.open(), image, options);
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
    this.modules.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  private draw(
    options: DrawOptions,
    given: { readonly index: number | undefined; readonly image: ImageSource | undefined },
  ): VqganStream {
    const modules = this.open();
    const settings = resolveDraw(modules, options);
    const { downsampleFactor } = modules;
    const size = { width: settings.width * downsampleFactor, height: settings.height * downsampleFactor };
    const { signal } = settings;
    return new VqganStream(
      sampleSteps(modules, settings, () => encodeCondition(modules, { ...given, size, signal })),
    );
  }

  private open(): VqganModel {
    if (this.disposed)
      throw new SafelightError('DISPOSED', 'The pipeline was disposed and cannot be used any more');
    return this.modules;
  }
}
