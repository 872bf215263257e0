/**
 * The unigram language model of sentencepiece (Kudo 2018, arXiv:1804.10959): splits a text into the pieces with the
 * largest sum of scores. Equal to the tokenizers library's `Unigram`.
 */

/** Difference between the lowest score of the vocabulary and the score of an unknown character. */
const UNKNOWN_PENALTY = 10;

export interface Piece {
  readonly text: string;
  /** Logarithm of the piece's probability. */
  readonly score: number;
}

export class Unigram {
  readonly #pieces: readonly Piece[];
  readonly #ids: ReadonlyMap<string, number>;
  /** Length of the longest piece in UTF-16 units, by its first unit. */
  readonly #longest = new Map<number, number>();
  readonly #unknown: number;
  readonly #unknownScore: number;

  /**
   * @param pieces pieces by id
   * @param unknown id of characters that no piece contains
   */
  constructor(pieces: readonly Piece[], unknown: number) {
    this.#pieces = pieces;
    this.#unknown = unknown;
    this.#ids = new Map(pieces.map(({ text }, id) => [text, id]));
    let worst = Number.POSITIVE_INFINITY;
    for (const { text, score } of pieces) {
      worst = Math.min(worst, score);
      if (text === '') continue;
      const first = text.charCodeAt(0);
      this.#longest.set(first, Math.max(this.#longest.get(first) ?? 0, text.length));
    }
    this.#unknownScore = worst - UNKNOWN_PENALTY;
  }

  /** Returns the id of a piece; undefined if there is none. */
  id(piece: string): number | undefined {
    return this.#ids.get(piece);
  }

  /**
   * Returns the ids of the best split of a text without lone surrogates; consecutive unknown characters are one unknown
   * token.
   */
  encode(text: string): number[] {
    const { starts, ids } = this.#bestPaths(text);
    const path: number[] = [];
    for (let end = text.length; end > 0; ) {
      let start = starts[end]!;
      let id = ids[end]!;
      if (id === this.#unknown) {
        while (start > 0 && ids[start] === this.#unknown) start = starts[start]!;
        id = this.#ids.get(text.slice(start, end)) ?? this.#unknown;
      }
      path.push(id);
      end = start;
    }
    return path.reverse();
  }

  /**
   * Returns the start and id of the last piece on the best path to each position where a piece can end (Viterbi 1967).
   */
  #bestPaths(text: string): { starts: Int32Array; ids: Int32Array } {
    const starts = new Int32Array(text.length + 1).fill(-1);
    const ids = new Int32Array(text.length + 1);
    const scores = new Float64Array(text.length + 1);
    const offer = (start: number, end: number, id: number, score: number) => {
      const sum = score + scores[start]!;
      if (starts[end] !== -1 && sum <= scores[end]!) return;
      scores[end] = sum;
      starts[end] = start;
      ids[end] = id;
    };
    for (let start = 0, next = 0; start < text.length; start = next) {
      next = start + (text.codePointAt(start)! > 0xffff ? 2 : 1);
      const longest = Math.min(this.#longest.get(text.charCodeAt(start)) ?? 0, text.length - start);
      let covered = false;
      for (let length = 1; length <= longest; length++) {
        const id = this.#ids.get(text.slice(start, start + length));
        if (id === undefined) continue;
        offer(start, start + length, id, this.#pieces[id]!.score);
        covered ||= start + length === next;
      }
      if (!covered) offer(start, next, this.#unknown, this.#unknownScore);
    }
    return { starts, ids };
  }
}
