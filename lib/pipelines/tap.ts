/** Reading inside of the modules that run once: the text encoders on a prompt, the decoder on a latent. (The U-Net's taps come with its steps.) */
import { invalidOption } from '../errors.js';
import { Tensor } from '../tensor/tensor.js';
import * as check from './check.js';
import { promptText } from './condition-options.js';
import { chunksOf } from './conditioning.js';
import type { Modules } from './modules.js';
import { checkControl } from './options.js';

export type TapOptions = {
  /** Names from `pipeline.nodes`, 1 to 100. */
  readonly names: readonly string[];
  readonly signal?: AbortSignal;
} & (
  | { readonly module: 'text_encoder' | 'text_encoder_2'; readonly prompt: string }
  /** `[1, C, h, w]`, scaled as the sampler sees it. */
  | { readonly module: 'decoder'; readonly latent: Tensor }
);

/** @throws INVALID_OPTION (also for a name that the module does not have), SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED */
export async function tapStage(
  modules: Modules,
  options: TapOptions,
): Promise<Readonly<Record<string, Tensor>>> {
  check.knownKeys('options', options, new Set(['module', 'names', 'prompt', 'latent', 'signal']));
  const { signal } = checkControl(options);
  const taps: unknown = options.names;
  if (
    !Array.isArray(taps) ||
    taps.length < 1 ||
    taps.length > 100 ||
    taps.some((name) => typeof name !== 'string')
  )
    throw invalidOption('names', '1 to 100 names', taps);
  if (options.module === 'decoder') {
    if (!(options.latent instanceof Tensor)) throw invalidOption('latent', 'a tensor', options.latent);
    return (await modules.codec(signal)).tapDecoder(options.latent, taps, { signal });
  }
  const encoders = await modules.encoders(signal);
  const names = ['text_encoder', 'text_encoder_2'].slice(0, encoders.length);
  const { encoder, tokenizer } = encoders[names.indexOf(check.oneOf('module', options.module, names))]!;
  const chunks = chunksOf(tokenizer, promptText('prompt', options.prompt), 'original');
  const tokens = Tensor.from(Int32Array.from(chunks.flatMap(({ ids }) => ids)), [
    chunks.length,
    tokenizer.window,
  ]);
  return (await encoder.encode({ tokens }, { signal, taps })).taps;
}
