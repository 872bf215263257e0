/** The stages before and after denoising, one by one. */

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
import { warnIfLarge } from './image-size.js';
import { sizeFrom } from './image-to-image.js';
import { prepareImage } from './inpaint.js';
import { warnOfSyntax } from './prompt-warnings.js';

export interface TokenizeOptions {
  /** Takes the text as it is, without prompt syntax; default false. */
  readonly raw?: boolean;
}

export interface EncodeTextOptions extends Pick<GenerateOptions, 'clipSkip' | 'emphasis'> {
  /** Encodes it as a negative prompt, which some models want to be zeros where it is empty; default false. */
  readonly negative?: boolean;
  readonly signal?: AbortSignal;
  /** Called with each warning as it occurs. */
  readonly onWarning?: OnWarning;
}

export interface EncodeImageOptions {
  /** Pixels; default the image's, rounded down to the grid and scaled down to the model's pixel count. */
  readonly width?: number;
  readonly height?: number;
  /** The mean of the encoder's distribution (default), or a sample of it. */
  readonly posterior?: Posterior;
  /** Of the sample; default 0, -1: random. */
  readonly seed?: number;
  readonly rng?: Rng;
  readonly signal?: AbortSignal;
  /** Called with each warning as it occurs. */
  readonly onWarning?: OnWarning;
}

export interface DecodeOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

export async function tokenizeStage(
  loaded: LoadedModel,
  text: string,
  options: TokenizeOptions,
): Promise<Chunk[]> {
  check.knownKeys('options', options, new Set(['raw']));
  const raw = check.boolean('raw', options.raw ?? false);
  const encoder = await loaded.promptEncoder();
  return encoder.tokenize(promptText('text', text), raw ? 'none' : 'original');
}

export async function encodeTextStage(
  loaded: LoadedModel,
  prompt: string,
  options: EncodeTextOptions,
): Promise<Encoding> {
  check.knownKeys('options', options, new Set(['clipSkip', 'emphasis', 'negative', 'signal', 'onWarning']));
  const text = resolveText(options);
  const { signal, warnings } = checkControl(options);
  const negative = check.boolean('negative', options.negative ?? false);
  const given = promptText('prompt', prompt);
  warnOfSyntax(warnings, negative ? { 'the negative prompt': given } : { 'the prompt': given });
  const encoder = await loaded.promptEncoder(signal);
  const encoding = await (negative
    ? encoder.encodeNegative(given, text, signal)
    : encoder.encode(given, text, signal));
  // The caller may write into it; what is kept for the next call must not change.
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
    new Set(['width', 'height', 'posterior', 'seed', 'rng', 'signal', 'onWarning']),
  );
  const { downsampleFactor } = loaded.facts;
  const { signal, warnings } = checkControl(options);
  const posterior = check.oneOf('posterior', options.posterior ?? 'mean', ['mean', 'sample']);
  const seed = check.seed('seed', options.seed ?? 0);
  const rng = check.oneOf('rng', options.rng ?? 'cpu', ['cpu', 'cuda']);
  const asked = checkSize(options, downsampleFactor);
  const input = await imageInput(loaded, source, asked, { signal, warnings });
  const codec = await loaded.codec(signal);
  const encoded = await codec.encode(input, { signal });
  const { size } = encoded;
  return encoded
    .latents(posterior === 'sample' ? () => createNoise({ rng, seeds: [seed], size }).next() : undefined)
    .clone();
}

/** An image as the encoder takes it, `[1, 3, H, W]`: of the size asked for, else its own on the latent grid, at most the model's pixel count. */
export async function imageInput(
  { facts }: LoadedModel,
  source: ImageSource,
  asked: { readonly width: number | undefined; readonly height: number | undefined },
  { signal, warnings }: Pick<ReturnType<typeof checkControl>, 'signal' | 'warnings'>,
): Promise<Tensor> {
  const original = await readImage(source);
  const { width, height } = sizeFrom(asked, original, facts, warnings, 'The image');
  warnIfLarge(warnings, { width, height }, facts.defaults, { effect: 'it takes long' });
  const { image } = await prepareImage(original, width, height, 'resize', signal);
  return imageTensor(image);
}

export async function decodeStage(
  loaded: LoadedModel,
  latent: Tensor,
  options: DecodeOptions,
): Promise<GeneratedImage[]> {
  check.knownKeys('options', options, new Set(['signal', 'onProgress']));
  const { signal, onProgress } = checkControl(options);
  checkLatent('latent', latent, loaded.facts);
  const reporter = new ProgressReporter(onProgress);
  const codec = await loaded.codec(signal);
  const count = latent.shape[0]!;
  const images: GeneratedImage[] = [];
  for (let i = 0; i < count; i++) {
    reporter.report('decode', i, count);
    const one = latent.slice([i, i + 1]);
    images.push(
      new GeneratedImage(toPixels(await codec.decode(one, { signal })), {
        latent: one,
      }),
    );
  }
  reporter.report('decode', count, count);
  return images;
}

/** A latent as the sampler sees it, of a size that can be decoded. @throws INVALID_OPTION, SHAPE_MISMATCH, NOT_FINITE */
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
