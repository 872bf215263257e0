/**
 * Byte pair encoding of one word (Sennrich, Haddow, Birch 2016, https://arxiv.org/abs/1508.07909) over UTF-8 bytes,
 * each represented by a printable character (GPT-2), the last one with the suffix `</w>` (CLIP).
 */
import { SafelightError } from '../errors.js';
import { MergeQueue } from './merge-queue.js';
import { PairTable } from './pair-table.js';

/** The merge of two ids. */
interface Merge {
  readonly rank: number;
  readonly id: number;
}

const END_OF_WORD = '</w>';
/** Limits of the cache: the length of words in UTF-16 units, and the number of words. */
const CACHED_LENGTH = 64;
const CACHED_WORDS = 20_000;

export class Bpe {
  readonly #merges: PairTable;
  /** Resulting ids of merges by rank. */
  readonly #merged: Int32Array;
  /** Ids of bytes inside a word, and at its end. */
  readonly #inner: Int32Array;
  readonly #last: Int32Array;
  readonly #cache = new Map<string, readonly number[]>();

  /**
   * @param vocab ids by token
   * @param merges pairs `"a b"` in the order of their priority
   * @param unknown id of a byte that the vocabulary lacks
   * @throws INVALID_FILE for a merge that refers to a token that the vocabulary lacks
   */
  constructor(vocab: ReadonlyMap<string, number>, merges: readonly string[], unknown: number) {
    this.#merges = new PairTable(merges.length);
    this.#merged = Int32Array.from(merges, (merge, rank) => this.#addMerge(vocab, merge, rank));
    const symbols = byteSymbols();
    this.#inner = Int32Array.from(symbols, (symbol) => vocab.get(symbol) ?? unknown);
    this.#last = Int32Array.from(symbols, (symbol) => vocab.get(symbol + END_OF_WORD) ?? unknown);
  }

  /** Returns the ids of a non-empty word. */
  encode(word: string): readonly number[] {
    const cached = this.#cache.get(word);
    if (cached) return cached;
    const ids = this.#merge(Buffer.from(word, 'utf8'));
    if (word.length <= CACHED_LENGTH) {
      if (this.#cache.size >= CACHED_WORDS) this.#cache.clear();
      this.#cache.set(word, ids);
    }
    return ids;
  }

  /**
   * Merges the pair of the lowest rank, leftmost first, until no merge applies. Symbols form a linked list and pairs a
   * heap, which takes O(n log n) for n bytes.
   */
  #merge(bytes: Uint8Array): number[] {
    const ids = Int32Array.from(bytes, (byte) => this.#inner[byte]!);
    const end = ids.length - 1;
    ids[end] = this.#last[bytes[end]!]!;
    const next = Int32Array.from(ids, (_, i) => (i === end ? -1 : i + 1));
    const previous = Int32Array.from(ids, (_, i) => i - 1);
    const queue = new MergeQueue();
    const offer = (left: number) => {
      const right = left < 0 ? -1 : next[left]!;
      const merge = right < 0 ? undefined : this.#find(ids[left]!, ids[right]!);
      if (merge) queue.push(merge.rank, left);
    };
    for (let i = 0; i < end; i++) offer(i);
    while (queue.length > 0) {
      const { rank, position } = queue.pop();
      const right = next[position]!;
      // The pair is outdated if one of its symbols has been merged since.
      if (ids[position]! < 0 || right < 0) continue;
      const merge = this.#find(ids[position]!, ids[right]!);
      if (merge?.rank !== rank) continue;
      ids[position] = merge.id;
      ids[right] = -1;
      next[position] = next[right]!;
      if (next[right]! >= 0) previous[next[right]!] = position;
      offer(previous[position]!);
      offer(position);
    }
    return Array.from(ids).filter((id) => id >= 0);
  }

  #find(left: number, right: number): Merge | undefined {
    const rank = this.#merges.get(left, right);
    return rank === undefined ? undefined : { rank, id: this.#merged[rank]! };
  }

  /** Registers a merge. @returns the resulting id */
  #addMerge(vocab: ReadonlyMap<string, number>, merge: string, rank: number): number {
    const space = merge.indexOf(' ');
    const [left, right] = [merge.slice(0, space), merge.slice(space + 1)];
    const [a, b, id] = [vocab.get(left), vocab.get(right), vocab.get(left + right)];
    if (a === undefined || b === undefined || id === undefined)
      throw new SafelightError(
        'INVALID_FILE',
        `The tokenizer's merge ${rank + 1}, ${JSON.stringify(merge.slice(0, 60))}, refers to a token that its vocabulary lacks; download the tokenizer again`,
      );
    this.#merges.set(a, b, rank);
    return id;
  }
}

/** Returns GPT-2's characters for the 256 bytes: printable Latin-1 characters themselves, the others from U+0100 on. */
export function byteSymbols(): string[] {
  let moved = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
    return String.fromCharCode(printable ? byte : moved++);
  });
}
