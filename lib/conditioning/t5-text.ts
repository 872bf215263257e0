/** Texts to hidden states by a T5 encoder and its tokenizer: the part of a text-to-image model that SD3, Flux and others share. */
import { basename, dirname, join } from 'node:path';
import { openT5 } from '../checkpoint/open-t5.js';
import { invalidOption, SafelightError } from '../errors.js';
import { kindOf } from '../files/read.js';
import { knownKeys } from '../known-keys.js';
import { checkFlags } from '../modules/check-call.js';
import type { CallOptions, LoadOptions } from '../modules/loaded-module.js';
import { T5Encoder } from '../modules/t5.js';
import { Tensor } from '../tensor/tensor.js';
import { UnigramTokenizer } from '../tokenizers/unigram-tokenizer.js';

export interface LoadT5Options extends LoadOptions {
  /**
   * Folder of the `tokenizer.json`; by default the model's own folder, or `tokenizer_2` beside a folder `text_encoder_2`, as diffusers
   * lays models out.
   */
  readonly tokenizer?: string | undefined;
  /** Takes the weights of this variant of a folder, such as `fp16`. */
  readonly variant?: string | undefined;
}

export interface T5TextOptions extends Pick<CallOptions, 'signal'> {
  /** Tokens of each text, its end included: longer texts are cut, shorter ones padded. Default 512. */
  readonly length?: number | undefined;
  /** Hides padding from the text's own tokens. By default it is seen, as SD3 and Flux were trained. */
  readonly mask?: boolean | undefined;
}

export interface T5Texts {
  /** `[B, T, C]` */
  readonly hidden: Tensor;
  /** `[B, T]` */
  readonly tokens: Tensor<Int32Array>;
  /** `[B, T]`: 1 for a text's tokens and its end, 0 for padding. */
  readonly mask: Tensor<Int32Array>;
}

const LENGTH = 512;

/** A T5 encoder with its tokenizer. */
export class T5TextEncoder implements AsyncDisposable {
  constructor(
    readonly tokenizer: UnigramTokenizer,
    readonly encoder: T5Encoder,
  ) {}

  /** @throws INVALID_OPTION, OUT_OF_MEMORY, ABORTED, DISPOSED */
  async encode(texts: readonly string[], options: T5TextOptions = {}): Promise<T5Texts> {
    knownKeys('options', options, new Set(['length', 'mask', 'signal']));
    checkFlags(options, 'mask');
    if (!Array.isArray(texts) || texts.length === 0) throw invalidOption('texts', 'a list of strings', texts);
    const { length = LENGTH, mask: hides = false, signal } = options;
    const windows = texts.map((text: string) => this.tokenizer.window(text, length));
    const shape = [texts.length, length];
    const tokens = Tensor.from(Int32Array.from(windows.flatMap(({ ids }) => ids)), shape);
    const mask = Tensor.from(Int32Array.from(windows.flatMap((window) => window.mask)), shape);
    const { hidden } = await this.encoder.encode({ tokens, ...(hides ? { mask } : {}) }, { signal });
    return { hidden, tokens, mask };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.encoder.dispose();
  }
}

/**
 * Loads a T5 v1.1 encoder and its tokenizer.
 * @param path a folder with `config.json`, or a file of weights (an encoder's, a checkpoint's that holds one, GGUF)
 * @throws FILE_NOT_FOUND, INVALID_FILE, MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, OUT_OF_MEMORY, ABORTED ...
 */
export async function loadT5(path: string, options: LoadT5Options = {}): Promise<T5TextEncoder> {
  const { tokenizer: where, variant, ...load } = options;
  const source = await openT5(path, variant);
  const folder = where ?? (await tokenizerFolder(path));
  const tokenizer = await UnigramTokenizer.fromFiles(folder);
  if (tokenizer.size > source.config.vocab_size) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `${folder} has a vocabulary of ${tokenizer.size} tokens where the T5 encoder knows ${source.config.vocab_size}; take the model's own`,
    );
  }
  return new T5TextEncoder(tokenizer, await T5Encoder.load(source, load));
}

async function tokenizerFolder(path: string): Promise<string> {
  if ((await kindOf(path)) !== 'folder') return dirname(path);
  if ((await kindOf(join(path, 'tokenizer.json'))) === 'file') return path;
  const [, number] = /^text_encoder((?:_\d)?)$/.exec(basename(path)) ?? [];
  const beside = join(dirname(path), `tokenizer${number}`);
  return number !== undefined && (await kindOf(beside)) === 'folder' ? beside : path;
}
