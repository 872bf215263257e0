/** Individual stages of a pipeline before and after denoising. */

import type { Chunk } from '../../conditioning/chunks.js';
import type { Encoding } from '../../conditioning/prompt-encoder.js';
import { imageTensor } from '../../families/shared/latents.js';
import type { LoadedModel, ModelFacts } from '../../families/shared/loaded-model.js';
import { type ImageSource, readImage } from '../../image/read.js';
import * as check from '../../options/check.js';
import type { Posterior } from '../../options/declarations/source.js';
import { promptText } from '../../options/settings/condition.js';
import type { Rng } from '../../sampling/generators/index.js';
import { createNoise } from '../../sampling/noise.js';
import { checkFinite, checkTensor } from '../../tensor/check-tensor.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { OnWarning } from '../../warnings.js';
import { GeneratedImage, toPixels } from '../image-result.js';
import { checkControl, checkSize, type GenerateOptions, resolveText } from '../options.js';
import { type OnProgress, ProgressReporter } from '../progress.js';
import type { PromptFiles } from '../prompt-files.js';
import { codecOf } from './codec-of.js';
import { warnIfLarge } from './image-size.js';
import { sizeFrom } from './image-to-image.js';
import { prepareImage } from './inpaint.js';
import { singleText } from './prompts/single-text.js';

export interface TokenizeOptions {
  /** Tokenizes the text without parsing prompt syntax. Default false. */
  readonly raw?: boolean;
}

export interface EncodeTextOptions extends Pick<GenerateOptions, 'clipSkip' | 'emphasis'> {
  /** Encodes a negative prompt; for some models, an empty one is encoded as zeros. Default false. */
  readonly negative?: boolean;
  readonly signal?: AbortSignal;
  /** Receives each warning as it occurs. */
  readonly onWarning?: OnWarning;
}

export interface EncodeImageOptions {
  /**
   * Width in pixels; default the image's, rounded down to the downsampling factor and scaled down to the model's
   * pixel count.
   */
  readonly width?: number;
  /** Height in pixels, as `width`. */
  readonly height?: number;
  /** Mean of the encoder's distribution (default) or a sample from it. */
  readonly posterior?: Posterior;
  /** Seed of the sample; default 0, -1 for a random seed. */
  readonly seed?: number;
  /** Generator of the sample; default `cpu`. */
  readonly rng?: Rng;
  /** Wraps around the edges of the image, as for images that tile seamlessly. Default false. */
  readonly tiling?: boolean;
  readonly signal?: AbortSignal;
  /** Receives each warning as it occurs. */
  readonly onWarning?: OnWarning;
}

export interface DecodeOptions {
  /** Wraps around the edges, for latents that were denoised with `tiling`. Default false. */
  readonly tiling?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

export async function tokenizeStage(
  loaded: LoadedModel,
  text: string,
  options: TokenizeOptions,
  files: PromptFiles,
): Promise<Chunk[]> {
  check.knownKeys('options', options, new Set(['raw']));
  const raw = check.boolean('raw', options.raw ?? false);
  const checked = promptText('text', text);
  const encoder = await loaded.promptEncoder();
  if (raw) return encoder.tokenize(checked, 'none');
  const single = await singleText(loaded, checked, { emphasis: 'original', files });
  return encoder.tokenize(single.text, 'original', single.embeddings);
}

export async function encodeTextStage(
  loaded: LoadedModel,
  prompt: string,
  options: EncodeTextOptions,
  files: PromptFiles,
): Promise<Encoding> {
  check.knownKeys('options', options, new Set(['clipSkip', 'emphasis', 'negative', 'signal', 'onWarning']));
  const text = resolveText(options);
  const { signal, warnings } = checkControl(options);
  const negative = check.boolean('negative', options.negative ?? false);
  const checked = promptText('prompt', prompt);
  const { emphasis } = text;
  const single = await singleText(loaded, checked, { emphasis, files, negative, signal, warnings });
  const settings = { ...text, embeddings: single.embeddings };
  const encoder = await loaded.promptEncoder(signal);
  const encoding = await (negative
    ? encoder.encodeNegative(single.text, settings, signal)
    : encoder.encode(single.text, settings, signal));
  // Copies, because the caller may modify the tensors and the encoding is cached.
  return { ...encoding, context: encoding.context.clone(), pooled: encoding.pooled?.clone() };
}

export async function encodeImageStage(
  loaded: LoadedModel,
  source: ImageSource,
  options: EncodeImageOptions,
): Promise<Tensor> {
  check.knownKeys(
    'options',
    options,
    new Set(['width', 'height', 'posterior', 'seed', 'rng', 'tiling', 'signal', 'onWarning']),
  );
  const { downsampleFactor } = loaded.facts;
  const { signal, warnings } = checkControl(options);
  const posterior = check.oneOf('posterior', options.posterior ?? 'mean', ['mean', 'sample']);
  const seed = check.seed('seed', options.seed ?? 0);
  const rng = check.oneOf('rng', options.rng ?? 'cpu', ['cpu', 'cuda']);
  const seamless = check.boolean('tiling', options.tiling ?? false);
  const requested = checkSize(options, downsampleFactor);
  const input = await imageInput(loaded, source, requested, { signal, warnings });
  const codec = await codecOf(loaded, { seamless }, signal);
  const encoded = await codec.encode(input, { signal });
  const { size } = encoded;
  return encoded
    .latents(posterior === 'sample' ? () => createNoise({ rng, seeds: [seed], size }).next() : undefined)
    .clone();
}

/** Reads an image as encoder input `[1, 3, H, W]` of the requested size (see `sizeFrom` for the default). */
export async function imageInput(
  { facts }: LoadedModel,
  source: ImageSource,
  requested: { readonly width: number | undefined; readonly height: number | undefined },
  { signal, warnings }: Pick<ReturnType<typeof checkControl>, 'signal' | 'warnings'>,
): Promise<Tensor> {
  const original = await readImage(source);
  const { width, height } = sizeFrom(requested, original, facts, warnings, 'The image');
  warnIfLarge(warnings, { width, height }, facts.defaults, { effect: 'encoding is slow' });
  const { image } = await prepareImage(original, width, height, 'resize', signal);
  return imageTensor(image);
}

export async function decodeStage(
  loaded: LoadedModel,
  latent: Tensor,
  options: DecodeOptions,
): Promise<GeneratedImage[]> {
  check.knownKeys('options', options, new Set(['tiling', 'signal', 'onProgress']));
  const seamless = check.boolean('tiling', options.tiling ?? false);
  const { signal, onProgress } = checkControl(options);
  checkLatent('latent', latent, loaded.facts);
  const reporter = new ProgressReporter(onProgress);
  const codec = await codecOf(loaded, { seamless }, signal);
  const count = latent.shape[0]!;
  const images: GeneratedImage[] = [];
  for (let i = 0; i < count; i++) {
    reporter.report('decode', i, count);
    const row = latent.slice([i, i + 1]);
    images.push(
      new GeneratedImage(toPixels(await codec.decode(row, { signal })), {
        latent: row,
      }),
    );
  }
  reporter.report('decode', count, count);
  return images;
}

/** Checks a scaled latent `[B, C, h, w]` for decoding. @throws INVALID_OPTION, SHAPE_MISMATCH, NOT_FINITE */
export function checkLatent(
  name: string,
  latent: unknown,
  { latentChannels, downsampleFactor }: ModelFacts,
): Tensor {
  const tensor = checkTensor(name, latent, ['B', latentChannels, 'h', 'w']);
  checkFinite(name, tensor);
  const [, , height = 0, width = 0] = tensor.shape;
  checkSize({ width: width * downsampleFactor, height: height * downsampleFactor }, downsampleFactor);
  return tensor;
}
