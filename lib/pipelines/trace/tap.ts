/**
 * Tapping of modules that run once: text encoders with a prompt, the encoder with an image, the decoder with a
 * latent. Nodes of the U-Net are tapped per step with the option `taps` of `stream` and `denoise`.
 */

import { chunksOf } from '../../conditioning/prompt-encoder.js';
import { invalidOption } from '../../errors.js';
import type { LoadedModel } from '../../families/shared/loaded-model.js';
import type { ImageSource } from '../../image/read.js';
import * as check from '../../options/check.js';
import { promptText } from '../../options/settings/condition.js';
import { Tensor } from '../../tensor/tensor.js';
import type { OnWarning } from '../../warnings.js';
import { checkLatent, imageInput } from '../diffusion/stages.js';
import { checkModule } from '../model/module-names.js';
import { checkControl, checkSize } from '../options.js';

export type TapOptions = {
  /** 1 to 100 names of nodes (see `pipeline.nodes`). */
  readonly names: readonly string[];
  readonly signal?: AbortSignal;
  /** Receives each warning as it occurs. */
  readonly onWarning?: OnWarning;
} & (
  | { readonly module: 'text_encoder' | 'text_encoder_2'; readonly prompt: string }
  /** The image is resized to `width` x `height`; the default is its own size, as for `pipeline.encode`. */
  | {
      readonly module: 'encoder';
      readonly image: ImageSource;
      readonly width?: number;
      readonly height?: number;
    }
  /** `[B, C, h, w]`, scaled as returned by the sampler. */
  | { readonly module: 'decoder'; readonly latent: Tensor }
);

const KEYS = ['module', 'names', 'prompt', 'image', 'width', 'height', 'latent', 'signal', 'onWarning'];
const MAX_NAMES = 100;

/**
 * Runs a module and returns the values of the named nodes.
 * @throws INVALID_OPTION (also for an unknown node), SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
 */
export async function tapStage(
  loaded: LoadedModel,
  options: TapOptions,
): Promise<Readonly<Record<string, Tensor>>> {
  check.knownKeys('options', options, new Set(KEYS));
  const { signal, warnings } = checkControl(options);
  const module = checkModule(options.module, loaded.facts.modules);
  if (module === 'unet') {
    const names = loaded.facts.modules.filter((name) => name !== 'unet');
    const hint = 'tap nodes of the U-Net with stream({ taps }) or denoise({ taps, onStep })';
    throw invalidOption('module', `one of ${names.join(', ')}`, module, hint);
  }
  const taps = checkNames(options.names);
  if (options.module === 'decoder') {
    const latent = checkLatent('latent', options.latent, loaded.facts);
    return (await loaded.codec(signal)).tapDecoder(latent, taps, { signal });
  }
  if (options.module === 'encoder') {
    const requested = checkSize(options, loaded.facts.downsampleFactor);
    const image = await imageInput(loaded, options.image, requested, { signal, warnings });
    return (await loaded.codec(signal)).tapEncoder(image, taps, { signal });
  }
  const prompt = promptText('prompt', options.prompt);
  const encoders = await loaded.textEncoders(signal);
  const { encoder, tokenizer } = encoders[module === 'text_encoder' ? 0 : 1]!;
  const chunks = chunksOf(tokenizer, prompt, 'original');
  const tokens = Tensor.from(Int32Array.from(chunks.flatMap(({ ids }) => ids)), [
    chunks.length,
    tokenizer.window,
  ]);
  return (await encoder.encode({ tokens }, { signal, taps })).taps;
}

function checkNames(names: unknown): readonly string[] {
  const isList = Array.isArray(names) && names.length >= 1 && names.length <= MAX_NAMES;
  if (!isList || !names.every((name) => typeof name === 'string'))
    throw invalidOption('names', `an array of 1 to ${MAX_NAMES} node names (see pipeline.nodes)`, names);
  return [...names];
}
