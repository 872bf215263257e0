/** Encoding of images to code indices, their decoding, and reconstruction. */
import { defined } from '../../defined.js';
import type { ImageSource } from '../../image/read.js';
import type { VQModel } from '../../modules/vq-model.js';
import * as check from '../../options/check.js';
import { throwIfNotFinite } from '../../tensor/finite.js';
import type { RgbImage } from '../../tensor/render.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { OnWarning, Warning } from '../../warnings.js';
import { warnOfResize } from '../diffusion/image-size.js';
import { GeneratedImage } from '../image-result.js';
import { checkControl, checkSize } from '../options.js';
import { type OnProgress, ProgressReporter } from '../progress.js';
import { type CodebookUsage, type CodeGrid, checkGrid, toGrid, usageOf } from './grid.js';
import { psnr, renderDecoded } from './pixels.js';
import { prepareInput, type Size } from './prepare-input.js';
import { warnIfLargeForVqgan } from './sample-options.js';
import type { FirstStage, VqganModel } from './vqgan-model.js';

export interface VqganImageOptions {
  /**
   * Width in pixels, a multiple of the model's downsampling factor. The image is resized to cover the size and
   * cropped at the centre; with one side, the other follows the aspect ratio. By default the image is only cropped to
   * multiples of the factor.
   */
  readonly width?: number | undefined;
  /** Height in pixels, as `width`. */
  readonly height?: number | undefined;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
  /** Receives each warning as it occurs; the result lists all of them. */
  readonly onWarning?: OnWarning;
}

export interface EncodedIndices {
  /** Code indices `[H/f][W/f]`. */
  readonly codes: number[][];
  readonly usage: CodebookUsage;
  /** The resized and cropped image that was encoded. */
  readonly original: RgbImage;
  readonly warnings: readonly Warning[];
}

export interface Reconstruction {
  readonly image: GeneratedImage;
  /** The resized and cropped image that was encoded. */
  readonly original: RgbImage;
  /** Peak signal-to-noise ratio of the two images' bytes, in dB. */
  readonly psnr: number;
  /** Code indices `[H/f][W/f]`; null for a KL autoencoder. */
  readonly codes: number[][] | null;
  /** Null for a KL autoencoder. */
  readonly usage: CodebookUsage | null;
  /** Duration of the call in seconds. */
  readonly seconds: number;
  readonly warnings: readonly Warning[];
}

export interface DecodeIndicesOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

export const imageKeys: ReadonlySet<string> = new Set([
  'width',
  'height',
  'signal',
  'onProgress',
  'onWarning',
]);

/** Encodes and decodes an image. */
export async function reconstructStage(
  model: VqganModel,
  source: ImageSource,
  options: VqganImageOptions,
): Promise<Reconstruction> {
  const { signal, reporter, prepared, warnings } = await readInputImage(model, source, options);
  const stage = await model.autoencoder(signal);
  reporter.report('encode', 0, 1);
  const { latent, indices } = await encodeInput(stage, prepared.input, signal);
  reporter.report('encode', 1, 1);
  reporter.report('decode', 0, 1);
  const image = new GeneratedImage(renderDecoded(await decodeLatent(stage, latent, signal)), { latent });
  reporter.report('decode', 1, 1);
  const original = renderDecoded(prepared.input);
  return {
    image,
    original,
    psnr: psnr(original, image),
    codes: indices && toGrid(indices),
    usage: indices && stage.kind === 'vq_model' ? usageOf(indices.data, stage.model.indexCount) : null,
    seconds: reporter.elapsed,
    warnings: warnings.list,
  };
}

/** Encodes an image to code indices. */
export async function encodeIndicesStage(
  model: VqganModel,
  source: ImageSource,
  options: VqganImageOptions,
): Promise<EncodedIndices> {
  model.checkCodebook();
  const { signal, reporter, prepared, warnings } = await readInputImage(model, source, options);
  const codebook = await model.codebook(signal);
  reporter.report('encode', 0, 1);
  const indices = await indicesOf(codebook, prepared.input, signal);
  reporter.report('encode', 1, 1);
  const usage = usageOf(indices.data, codebook.indexCount);
  return {
    codes: toGrid(indices),
    usage,
    original: renderDecoded(prepared.input),
    warnings: warnings.list,
  };
}

/** Decodes code indices to an image. */
export async function decodeIndicesStage(
  model: VqganModel,
  codes: CodeGrid,
  options: DecodeIndicesOptions,
): Promise<GeneratedImage> {
  check.knownKeys('options', options, new Set(['signal', 'onProgress']));
  const { signal, onProgress } = checkControl(options);
  model.checkCodebook();
  const codebook = await model.codebook(signal);
  const indices = checkGrid(codes, codebook.indexCount, model.downsampleFactor);
  const reporter = new ProgressReporter(onProgress);
  reporter.report('decode', 0, 1);
  const image = await decodeToImage(codebook, indices, signal);
  reporter.report('decode', 1, 1);
  return image;
}

/**
 * Decodes code indices `[1, h, w]`; the image's latent contains their codebook vectors.
 * @throws NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED
 */
export async function decodeToImage(
  codebook: VQModel,
  indices: Tensor<Int32Array>,
  signal: AbortSignal | undefined,
  seed?: number,
): Promise<GeneratedImage> {
  const latent = await codebook.lookup(indices, { signal });
  const { image } = await codebook.decode(latent, { signal });
  return new GeneratedImage(renderDecoded(image), defined({ latent, seed }));
}

/** Encodes an input tensor to code indices `[1, h, w]`. @throws NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED */
export async function indicesOf(
  codebook: VQModel,
  input: Tensor,
  signal: AbortSignal | undefined,
): Promise<Tensor<Int32Array>> {
  const { latent } = await codebook.encode(input, { signal });
  throwIfNotFinite(latent.data, 'The latent');
  return (await codebook.quantize(latent, { signal })).indices;
}

/**
 * Validates the options of a call and reads its image at the size of the model.
 * @param maxSize images with more pixels are scaled down to this size, unless a size is requested
 * @throws as `prepareInput`
 */
export async function readInputImage(
  model: VqganModel,
  source: ImageSource,
  options: VqganImageOptions,
  maxSize?: Size,
) {
  check.knownKeys('options', options, imageKeys);
  const { downsampleFactor } = model;
  const { signal, onProgress, warnings } = checkControl(options);
  const size = checkSize(options, downsampleFactor);
  const reporter = new ProgressReporter(onProgress);
  const channels = model.source.autoencoder.config.in_channels;
  const prepared = await prepareInput(source, { size, maxSize, downsampleFactor, channels, signal });
  const { image, scaledFrom } = prepared;
  if (scaledFrom) warnOfResize(warnings, scaledFrom, image, 'The image');
  warnIfLargeForVqgan(warnings, model, image);
  return { signal, reporter, prepared, warnings };
}

/** Encodes an input tensor to the decoder's input: codebook vectors, or the mean of a KL autoencoder's distribution. */
async function encodeInput(
  stage: FirstStage,
  input: Tensor,
  signal: AbortSignal | undefined,
): Promise<{ latent: Tensor; indices: Tensor<Int32Array> | null }> {
  if (stage.kind === 'autoencoder_kl') {
    const moments = await stage.model.encode(input, { signal });
    return { latent: moments.slice(null, [0, stage.model.config.latent_channels]), indices: null };
  }
  const { latent } = await stage.model.encode(input, { signal });
  throwIfNotFinite(latent.data, 'The latent');
  const { quantized, indices } = await stage.model.quantize(latent, { signal });
  return { latent: quantized, indices };
}

async function decodeLatent(
  stage: FirstStage,
  latent: Tensor,
  signal: AbortSignal | undefined,
): Promise<Tensor> {
  if (stage.kind === 'autoencoder_kl') return stage.model.decode(latent, { signal });
  return (await stage.model.decode(latent, { signal })).image;
}
