/**
 * Splits a text at strings that are single tokens (`<|endoftext|>`) before words are encoded. Order and rules are those
 * of the tokenizers library's `AddedVocabulary`: first tokens matched in the original text, then, in each remaining
 * segment, those matched in normalized text.
 */

import type { AddedToken } from './reading/tokenizer-special.js';

/** A token, or a segment of normalized text; `first` if it is at the start of the text. */
export type Segment = { readonly text: string; readonly first: boolean } | { readonly id: number };

const WORD = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]';
const endsWithWord = new RegExp(`${WORD}$`, 'u');
const startsWithWord = new RegExp(`^${WORD}`, 'u');
const space = /\p{White_Space}/u;

export class AddedTokens {
  readonly #written: Finder;
  readonly #normalized: Finder;
  readonly #normalize: (text: string) => string;

  /** @param normalize normalizes text before tokens are matched in it */
  constructor(tokens: readonly AddedToken[], normalize: (text: string) => string) {
    this.#normalize = normalize;
    this.#written = new Finder(tokens.filter(({ normalized }) => !normalized));
    this.#normalized = new Finder(
      tokens
        .filter(({ normalized }) => normalized)
        .map((token) => ({ ...token, content: normalize(token.content) })),
    );
  }

  /** Returns the segments of a text in order, normalized. */
  split(text: string): Segment[] {
    return this.#written
      .split(text, true)
      .flatMap((segment) =>
        'id' in segment ? segment : this.#normalized.split(this.#normalize(segment.text), segment.first),
      );
  }
}

/** Matches tokens in a text: leftmost first, the longest at the same position. */
class Finder {
  readonly #tokens: ReadonlyMap<string, AddedToken>;
  readonly #pattern: RegExp | undefined;

  constructor(tokens: readonly AddedToken[]) {
    this.#tokens = new Map(tokens.map((token) => [token.content, token]));
    const contents = [...this.#tokens.keys()].filter((content) => content !== '');
    contents.sort((a, b) => b.length - a.length);
    const escaped = contents.map((content) => content.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
    this.#pattern = escaped.length > 0 ? new RegExp(escaped.join('|'), 'gu') : undefined;
  }

  /** @param first true if the text is not a later part of another one */
  split(text: string, first: boolean): Segment[] {
    const segments: Segment[] = [];
    let done = 0;
    for (const match of this.#pattern ? text.matchAll(this.#pattern) : []) {
      const token = this.#tokens.get(match[0])!;
      let [start, end] = [match.index, match.index + match[0].length];
      // Two UTF-16 units contain the adjacent character in any plane.
      const touched =
        endsWithWord.test(text.slice(Math.max(0, start - 2), start)) ||
        startsWithWord.test(text.slice(end, end + 2));
      if (token.singleWord && touched) continue;
      if (token.lstrip) while (start > done && space.test(text[start - 1]!)) start--;
      if (token.rstrip) while (end < text.length && space.test(text[end]!)) end++;
      if (start > done) segments.push({ text: text.slice(done, start), first: first && done === 0 });
      segments.push({ id: token.id });
      done = end;
    }
    if (done < text.length) segments.push({ text: text.slice(done), first: first && done === 0 });
    return segments;
  }
}
