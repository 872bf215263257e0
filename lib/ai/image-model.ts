/** Image model of the AI SDK. */
import { defined } from '../defined.js';
import { invalidOption, SafelightError, throwIfAborted } from '../errors.js';
import { requiredMask } from '../image/alpha-mask.js';
import type { Pipeline } from '../pipelines/diffusion/pipeline.js';
import type { GenerateOptions } from '../pipelines/options.js';
import {
  type ImageModelCallOptions,
  type ImageModelFile,
  type ImageModelResult,
  type ImageModelWarning,
  SPECIFICATION_VERSION,
} from './specification.js';

/** Options in `providerOptions.safelight`: those of `Pipeline.generate` without an equivalent in the AI SDK. */
export type SafelightImageOptions = Omit<
  GenerateOptions,
  | 'prompt'
  | 'count'
  | 'seed'
  | 'width'
  | 'height'
  | 'init'
  | 'mask'
  | 'signal'
  | 'finish'
  | 'hurry'
  | 'onProgress'
  | 'taps'
>;

/**
 * Maximum number of images per call. It is high, so that the SDK does not split calls, because each part would get
 * the same seed.
 */
const MAX_IMAGES = 1000;

export class SafelightImageModel {
  readonly specificationVersion = SPECIFICATION_VERSION;
  readonly provider = 'safelight';
  readonly maxImagesPerCall = MAX_IMAGES;
  readonly supportsFileInputs = true;
  readonly supportsMaskInputs = true;

  constructor(
    /** Name or path of the model. */
    readonly modelId: string,
    private readonly pipeline: () => Promise<Pipeline>,
  ) {}

  /**
   * Generates `n` PNG images, loading the model first if necessary. The transparent areas of `mask` are
   * regenerated, as in OpenAI's API (in `Pipeline.generate`, the white areas are).
   * @throws SafelightError: errors of `Pipeline.load` and `Pipeline.generate`, INVALID_OPTION for unsupported
   *   options, INVALID_IMAGE for a mask without transparency
   */
  async doGenerate(options: ImageModelCallOptions): Promise<ImageModelResult> {
    throwIfAborted(options.abortSignal);
    const timestamp = new Date();
    const pipeline = await this.pipeline();
    const { images, warnings } = await pipeline.generate(await this.toGenerateOptions(options, pipeline));
    return {
      images: await Promise.all(images.map((image) => image.png())),
      warnings: [
        ...warningsOf(options),
        ...warnings.map(({ message }) => ({ type: 'other', message }) as const),
      ],
      providerMetadata: {
        safelight: {
          images: images.map(({ width, height, parameters, seed = null }) => ({
            seed,
            width,
            height,
            parameters,
          })),
        },
      },
      response: { timestamp, modelId: this.modelId, headers: undefined },
    };
  }

  private async toGenerateOptions(
    options: ImageModelCallOptions,
    { info }: Pipeline,
  ): Promise<GenerateOptions> {
    const { prompt = '', n, seed, files = [], mask, abortSignal } = options;
    const [first] = files;
    if (files.length > 1) throw invalidOption('files', 'one image', files.length);
    if (mask && !first) throw invalidOption('mask', 'a mask together with an image in files', mask.type);
    return {
      ...(options.providerOptions.safelight as SafelightImageOptions | undefined),
      ...{ prompt, count: n, ...sizeOf(options, info) },
      ...defined({
        seed: seed === -1 ? undefined : seed, // -1 is random
        init: first ? bytesOf('files', first) : undefined,
        mask: mask ? await requiredMask(bytesOf('mask', mask)) : undefined,
        signal: abortSignal,
      }),
    };
  }
}

function sizeOf(
  { size, aspectRatio }: ImageModelCallOptions,
  { width, height, factor }: Pipeline['info'],
): { width?: number; height?: number } {
  if (size !== undefined) return pair('size', size, 'x');
  if (aspectRatio === undefined) return {};
  const ratio = pair('aspectRatio', aspectRatio, ':');
  // The pixel count of the model's default size, with sides rounded to multiples of `factor`.
  const side = Math.sqrt((width * height * ratio.width) / ratio.height);
  const onGrid = (length: number): number => Math.max(factor, Math.round(length / factor) * factor);
  return { width: onGrid(side), height: onGrid((side * ratio.height) / ratio.width) };
}

function pair(name: string, text: string, separator: string): { width: number; height: number } {
  const [width = Number.NaN, height = Number.NaN] = text.split(separator).map(Number);
  if (!(width > 0 && height > 0)) throw invalidOption(name, `WIDTH${separator}HEIGHT`, text);
  return { width, height };
}

function bytesOf(name: string, file: ImageModelFile): Uint8Array {
  if (file.type === 'url')
    throw new SafelightError(
      'INVALID_OPTION',
      `Expected ${name} as bytes or base64; Safelight does not download URLs`,
    );
  return typeof file.data === 'string' ? Buffer.from(file.data, 'base64') : file.data;
}

function warningsOf({ size, aspectRatio }: ImageModelCallOptions): ImageModelWarning[] {
  if (size === undefined || aspectRatio === undefined) return [];
  return [{ type: 'unsupported', feature: 'aspectRatio', details: 'ignored because size is set' }];
}
