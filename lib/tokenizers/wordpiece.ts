/** BERT's WordPiece tokenizer, equal to transformers' `BertTokenizerFast` of an uncased vocabulary. */

import { SafelightError } from '../errors.js';
import { basicWords } from './basic-words.js';
import type { PromptTokenizer } from './prompt-tokenizer.js';
import type { WordPieceVocabulary } from './reading/wordpiece-files.js';

/** Longer words are unknown. */
const LONGEST_WORD = 100;

export class WordPieceTokenizer implements PromptTokenizer {
  /** Window length in tokens, including start and end tokens. */
  readonly window: number;
  readonly bos: number;
  readonly eos: number;
  readonly pad: number;
  readonly comma: number | undefined;
  readonly #vocabulary: ReadonlyMap<string, number>;
  readonly #strings: readonly string[];
  readonly #unknown: number;
  /** Length of the longest token in UTF-16 units. */
  readonly #longest: number;
  /** Matches special tokens, which are recognized anywhere in a text. */
  readonly #special: RegExp;

  constructor({ tokens, ids }: WordPieceVocabulary, window: number) {
    this.window = window;
    this.#strings = tokens;
    this.#vocabulary = new Map(tokens.map((token, id) => [token, id]));
    this.bos = ids.cls;
    this.eos = ids.sep;
    this.pad = ids.pad;
    this.#unknown = ids.unk;
    this.#longest = tokens.reduce((longest, token) => Math.max(longest, token.length), 0);
    this.comma = this.#vocabulary.get(',');
    const special = Object.values(ids).map((id) => tokens[id]!.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
    this.#special = new RegExp(`(${special.join('|')})`);
  }

  /** Returns the ids of a text without start token, end token and padding, never truncated. */
  encode(text: string): number[] {
    return text.split(this.#special).flatMap((part, i) => {
      if (i % 2 === 1) return [this.#vocabulary.get(part)!];
      return basicWords(part).flatMap((word) => this.#pieces(word));
    });
  }

  /** Returns the vocabulary's string of each id, such as `##ing`. */
  tokens(ids: readonly number[]): string[] {
    return ids.map((id) => {
      const token = this.#strings[id];
      if (token === undefined)
        throw new SafelightError('INVALID_OPTION', `The vocabulary has no token with the id ${id}`);
      return token;
    });
  }

  /** Splits a word greedily into the longest pieces from the left; a word without such a division is unknown. */
  #pieces(word: string): number[] {
    if (word.length > 2 * LONGEST_WORD || [...word].length > LONGEST_WORD) return [this.#unknown];
    const pieces: number[] = [];
    for (let start = 0; start < word.length; ) {
      let end = Math.min(word.length, start + this.#longest);
      let id: number | undefined;
      // Splitting a surrogate pair has no effect: half a pair is in no vocabulary.
      for (; end > start && id === undefined; end--)
        id = this.#vocabulary.get((start > 0 ? '##' : '') + word.slice(start, end));
      if (id === undefined) return [this.#unknown];
      pieces.push(id);
      start = end + 1;
    }
    return pieces;
  }
}
