/** A hash table from pairs of ids to numbers in flat arrays: a tenth of the memory of a Map, with nothing for the collector to walk. */
export class PairTable {
  /** Of a slot: left id + 1 (0 is an empty slot), right id, value. */
  readonly #left: Int32Array;
  readonly #right: Int32Array;
  readonly #value: Int32Array;
  readonly #mask: number;

  /** @param size pairs at most */
  constructor(size: number) {
    // At most half full, so that looking past taken slots stays short.
    const slots = 2 ** Math.ceil(Math.log2(2 * size + 1));
    this.#mask = slots - 1;
    this.#left = new Int32Array(slots);
    this.#right = new Int32Array(slots);
    this.#value = new Int32Array(slots);
  }

  /** A pair that is set again takes the later value. Ids and value: integers from 0 to 2^31 - 2. */
  set(left: number, right: number, value: number): void {
    const slot = this.#slot(left, right);
    this.#left[slot] = left + 1;
    this.#right[slot] = right;
    this.#value[slot] = value;
  }

  get(left: number, right: number): number | undefined {
    const slot = this.#slot(left, right);
    return this.#left[slot] === 0 ? undefined : this.#value[slot];
  }

  /** Where the pair is, or the empty slot where it belongs. */
  #slot(left: number, right: number): number {
    // Knuth's multiplicative hashing, folded so that the upper bits count too.
    let hash = Math.imul(Math.imul(left, 0x9e3779b1) + right, 0x85ebca6b);
    hash ^= hash >>> 15;
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const found = this.#left[slot]!;
      if (found === 0 || (found === left + 1 && this.#right[slot] === right)) return slot;
    }
  }
}
