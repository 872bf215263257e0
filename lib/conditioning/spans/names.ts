/** Finds names of embeddings in text. */

const WORD = /[\p{L}\p{N}]+/gu;
const WORD_CHARACTER = /[\p{L}\p{N}]/u;

export class NameFinder {
  /** Names in lower case by their first word, the longest first, with the position of that word in them. */
  readonly #byWord = new Map<string, { readonly name: string; readonly offset: number }[]>();

  constructor(names: readonly string[]) {
    for (const name of new Set(names.map((each) => each.toLowerCase()))) {
      const [match] = name.matchAll(WORD);
      if (!match) continue;
      const entries = this.#byWord.get(match[0]) ?? [];
      entries.push({ name, offset: match.index });
      this.#byWord.set(match[0], entries);
    }
    for (const entries of this.#byWord.values()) entries.sort((a, b) => b.name.length - a.name.length);
  }

  /** Returns the ranges of names as whole words, without overlaps. */
  find(text: string): { readonly start: number; readonly end: number }[] {
    if (this.#byWord.size === 0) return [];
    const lower = text.toLowerCase();
    // Few letters have a lowercase form of another length; text with them is compared as it is.
    const compared = lower.length === text.length ? lower : text;
    const found: { start: number; end: number }[] = [];
    let done = 0;
    for (const { 0: word, index } of compared.matchAll(WORD)) {
      const match = this.#byWord.get(word)?.find(({ name, offset }) => {
        const start = index - offset;
        return (
          start >= done &&
          compared.startsWith(name, start) &&
          !WORD_CHARACTER.test(compared[start + name.length] ?? '')
        );
      });
      if (!match) continue;
      const start = index - match.offset;
      done = start + match.name.length;
      found.push({ start, end: done });
    }
    return found;
  }
}
