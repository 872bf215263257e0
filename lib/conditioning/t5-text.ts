/** T5 text encoder with its tokenizer, as used by SD3, Flux and other text-to-image models. */
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
   * Folder with `tokenizer.json`. Default: the model's folder, or the sibling `tokenizer_2` of a folder
   * `text_encoder_2`, as in diffusers.
   */
  readonly tokenizer?: string | undefined;
  /** Variant of the weights in a folder, such as `fp16`. */
  readonly variant?: string | undefined;
}

export interface T5TextOptions extends Pick<CallOptions, 'signal'> {
  /** Tokens per text including the end token; longer texts are truncated, shorter ones padded. Default 512. */
  readonly length?: number | undefined;
  /** Masks padding. Default false, as SD3 and Flux were trained. */
  readonly mask?: boolean | undefined;
}

export interface T5Texts {
  /** `[B, T, C]` */
  readonly hidden: Tensor;
  /** `[B, T]` */
  readonly tokens: Tensor<Int32Array>;
  /** `[B, T]`: 1 for tokens including the end token, 0 for padding. */
  readonly mask: Tensor<Int32Array>;
}

const DEFAULT_LENGTH = 512;

/** A T5 encoder with its tokenizer. */
export class T5TextEncoder implements AsyncDisposable {
  constructor(
    readonly tokenizer: UnigramTokenizer,
    readonly encoder: T5Encoder,
  ) {}

  /** Encodes a batch of texts. @throws INVALID_OPTION, OUT_OF_MEMORY, ABORTED, DISPOSED */
  async encode(texts: readonly string[], options: T5TextOptions = {}): Promise<T5Texts> {
    knownKeys('options', options, new Set(['length', 'mask', 'signal']));
    checkFlags(options, 'mask');
    if (!Array.isArray(texts) || texts.length === 0)
      throw invalidOption('texts', 'a non-empty array of strings', texts);
    const { length = DEFAULT_LENGTH, mask: masksPadding = false, signal } = options;
    const windows = texts.map((text: string) => this.tokenizer.window(text, length));
    const shape = [texts.length, length];
    const tokens = Tensor.from(Int32Array.from(windows.flatMap(({ ids }) => ids)), shape);
    const mask = Tensor.from(Int32Array.from(windows.flatMap((window) => window.mask)), shape);
    const { hidden } = await this.encoder.encode({ tokens, ...(masksPadding ? { mask } : {}) }, { signal });
    return { hidden, tokens, mask };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.encoder.dispose();
  }
}

/**
 * Loads a T5 v1.1 encoder and its tokenizer.
 * @param path a folder with `config.json`, or a file of weights (of an encoder or a checkpoint that contains one;
 *   also GGUF)
 * @throws FILE_NOT_FOUND, INVALID_FILE, MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, OUT_OF_MEMORY, ABORTED ...
 */
export async function loadT5(path: string, options: LoadT5Options = {}): Promise<T5TextEncoder> {
  const { tokenizer: tokenizerPath, variant, ...load } = options;
  const source = await openT5(path, variant);
  const folder = tokenizerPath ?? (await tokenizerFolder(path));
  const tokenizer = await UnigramTokenizer.fromFiles(folder);
  if (tokenizer.size > source.config.vocab_size) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `The tokenizer in ${folder} has ${tokenizer.size} tokens, but the T5 encoder has ${source.config.vocab_size}; use the model's tokenizer`,
    );
  }
  return new T5TextEncoder(tokenizer, await T5Encoder.load(source, load));
}

async function tokenizerFolder(path: string): Promise<string> {
  if ((await kindOf(path)) !== 'folder') return dirname(path);
  if ((await kindOf(join(path, 'tokenizer.json'))) === 'file') return path;
  const [, number] = /^text_encoder((?:_\d)?)$/.exec(basename(path)) ?? [];
  const sibling = join(dirname(path), `tokenizer${number}`);
  return number !== undefined && (await kindOf(sibling)) === 'folder' ? sibling : path;
}
