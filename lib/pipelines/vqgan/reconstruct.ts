/** What an autoencoder keeps of a picture: its codes, and the picture made of them. */
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
   * Pixels, multiples of the model's factor: the picture is resized to cover them and its middle taken. With one side the other follows
   * the picture's proportions; by default the picture is only cropped to multiples of the factor.
   */
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
  /** Called with each warning as it occurs; the result lists them all. */
  readonly onWarning?: OnWarning;
}

export interface EncodedIndices {
  /** `[H/f][W/f]` */
  readonly codes: number[][];
  readonly usage: CodebookUsage;
  /** The picture as it was encoded. */
  readonly original: RgbImage;
  readonly warnings: readonly Warning[];
}

export interface Reconstruction {
  readonly image: GeneratedImage;
  /** What it was made of, at its size. */
  readonly original: RgbImage;
  /** Of the two, in dB over bytes (see `psnr`). */
  readonly psnr: number;
  /** `[H/f][W/f]`; null of a KL autoencoder, which has none. */
  readonly codes: number[][] | null;
  readonly usage: CodebookUsage | null;
  /** From call to result. */
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

export async function reconstructStage(
  modules: VqganModel,
  source: ImageSource,
  options: VqganImageOptions,
): Promise<Reconstruction> {
  const { signal, reporter, picture, warnings } = await readInputImage(modules, source, options);
  const stage = await modules.autoencoder(signal);
  reporter.report('encode', 0, 1);
  const { latent, indices } = await encoded(stage, picture.input, signal);
  reporter.report('encode', 1, 1);
  reporter.report('decode', 0, 1);
  const image = new GeneratedImage(renderDecoded(await decoded(stage, latent, signal)), { latent });
  reporter.report('decode', 1, 1);
  const original = renderDecoded(picture.input);
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

export async function encodeIndicesStage(
  modules: VqganModel,
  source: ImageSource,
  options: VqganImageOptions,
): Promise<EncodedIndices> {
  modules.checkCodebook();
  const { signal, reporter, picture, warnings } = await readInputImage(modules, source, options);
  const model = await modules.codebook(signal);
  reporter.report('encode', 0, 1);
  const indices = await indicesOf(model, picture.input, signal);
  reporter.report('encode', 1, 1);
  const usage = usageOf(indices.data, model.indexCount);
  return {
    codes: toGrid(indices),
    usage,
    original: renderDecoded(picture.input),
    warnings: warnings.list,
  };
}

export async function decodeIndicesStage(
  modules: VqganModel,
  codes: CodeGrid,
  options: DecodeIndicesOptions,
): Promise<GeneratedImage> {
  check.knownKeys('options', options, new Set(['signal', 'onProgress']));
  const { signal, onProgress } = checkControl(options);
  modules.checkCodebook();
  const model = await modules.codebook(signal);
  const indices = checkGrid(codes, model.indexCount, modules.downsampleFactor);
  const reporter = new ProgressReporter(onProgress);
  reporter.report('decode', 0, 1);
  const image = await decodeToImage(model, indices, signal);
  reporter.report('decode', 1, 1);
  return image;
}

/** The picture of codes `[1, h, w]`, its latent being their vectors. @throws NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED */
export async function decodeToImage(
  model: VQModel,
  indices: Tensor<Int32Array>,
  signal: AbortSignal | undefined,
  seed?: number,
): Promise<GeneratedImage> {
  const latent = await model.lookup(indices, { signal });
  const { image } = await model.decode(latent, { signal });
  return new GeneratedImage(renderDecoded(image), defined({ latent, seed }));
}

/** Codes `[1, h, w]` of a model's input. @throws NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED */
export async function indicesOf(
  model: VQModel,
  input: Tensor,
  signal: AbortSignal | undefined,
): Promise<Tensor<Int32Array>> {
  const { latent } = await model.encode(input, { signal });
  throwIfNotFinite(latent.data, 'The latent');
  return (await model.quantize(latent, { signal })).indices;
}

/** The picture that a call is about, at its model's size. @throws as `prepareInput` */
export async function readInputImage(
  modules: VqganModel,
  source: ImageSource,
  options: VqganImageOptions,
  most?: Size,
) {
  check.knownKeys('options', options, imageKeys);
  const { downsampleFactor } = modules;
  const { signal, onProgress, warnings } = checkControl(options);
  const size = checkSize(options, downsampleFactor);
  const reporter = new ProgressReporter(onProgress);
  const channels = modules.source.autoencoder.config.in_channels;
  const picture = await prepareInput(source, { size, most, downsampleFactor, channels, signal });
  const { image, scaledFrom } = picture;
  if (scaledFrom) warnOfResize(warnings, scaledFrom, image, 'The image');
  warnIfLargeForVqgan(warnings, modules, image);
  return { signal, reporter, picture, warnings };
}

/** What the decoder gets: the codes' vectors, or the mean of a KL autoencoder's distribution. */
async function encoded(
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

async function decoded(stage: FirstStage, latent: Tensor, signal: AbortSignal | undefined): Promise<Tensor> {
  if (stage.kind === 'autoencoder_kl') return stage.model.decode(latent, { signal });
  return (await stage.model.decode(latent, { signal })).image;
}
