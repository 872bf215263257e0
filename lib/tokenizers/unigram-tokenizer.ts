/**
 * T5's tokenizer, equal to transformers' `T5Tokenizer` (5.23; formerly `T5TokenizerFast`). Grapheme clusters are those
 * of Node's Unicode version; a difference is possible only for combining marks newer than it.
 */
import { invalidOption, SafelightError } from '../errors.js';
import { AddedTokens } from './added-tokens.js';
import { cutWords } from './metaspace.js';
import { readUnigramFiles, type UnigramFiles } from './reading/unigram-files.js';
import { normalizeText } from './text-normalizer.js';
import { Unigram } from './unigram.js';

const LONGEST_WINDOW = 2 ** 20;

/** A text in a window of fixed length. */
export interface TokenWindow {
  /** `[T]`, with the end token and padding. */
  readonly ids: number[];
  /** `[T]`: 1 for the text and its end token, 0 for padding. */
  readonly mask: number[];
}

export class UnigramTokenizer {
  readonly eos: number;
  readonly pad: number;
  /** The largest id plus one. */
  readonly size: number;
  readonly #files: UnigramFiles;
  readonly #model: Unigram;
  readonly #added: AddedTokens;

  constructor(files: UnigramFiles) {
    this.#files = files;
    this.eos = files.eos;
    this.pad = files.pad;
    this.size = files.added.reduce((size, { id }) => Math.max(size, id + 1), files.pieces.length);
    this.#model = new Unigram(files.pieces, files.unknown);
    this.#added = new AddedTokens(files.added, (text) => normalizeText(text, files.normalizer));
  }

  /**
   * Loads the tokenizer of a folder with a `tokenizer.json`.
   * @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL
   */
  static async fromFiles(folder: string): Promise<UnigramTokenizer> {
    if (typeof folder !== 'string' || folder === '')
      throw invalidOption('folder', 'the path of a folder', folder);
    return new UnigramTokenizer(await readUnigramFiles(folder));
  }

  /** Returns the ids of a text without end token and padding, never truncated. A lone surrogate is read as U+FFFD. */
  encode(text: string): number[] {
    if (typeof text !== 'string') throw invalidOption('text', 'a string', text);
    const ids: number[] = [];
    for (const segment of this.#added.split(text.replace(/\p{Surrogate}/gu, '\uFFFD'))) {
      if ('id' in segment) ids.push(segment.id);
      else
        for (const word of cutWords(segment.text, segment.first, this.#files.preTokenizer))
          for (const id of this.#model.encode(word)) ids.push(id);
    }
    return ids;
  }

  /**
   * Returns a text with its end token in a window of `length` tokens: truncated before the end token, or padded after
   * it.
   */
  window(text: string, length: number): TokenWindow {
    if (!(Number.isSafeInteger(length) && length >= 1 && length <= LONGEST_WINDOW))
      throw invalidOption('length', `an integer between 1 and ${LONGEST_WINDOW}`, length);
    const ids = [...this.encode(text).slice(0, length - 1), this.eos];
    const padding = length - ids.length;
    return {
      ids: [...ids, ...Array<number>(padding).fill(this.pad)],
      mask: [...ids.map(() => 1), ...Array<number>(padding).fill(0)],
    };
  }

  /** Returns the vocabulary's string of each id, such as `▁apple`. @throws INVALID_OPTION for an unknown id */
  tokens(ids: readonly number[]): string[] {
    if (!Array.isArray(ids)) throw invalidOption('ids', 'an array of ids', ids);
    return ids.map((id: number) => {
      const token =
        this.#files.added.find((token) => token.id === id)?.content ?? this.#files.pieces[id]?.text;
      if (token === undefined)
        throw new SafelightError('INVALID_OPTION', `The vocabulary has no token with the id ${String(id)}`);
      return token;
    });
  }
}
