/**
 * A hash table from pairs of ids to integers in typed arrays: a tenth of the memory of a Map, and no work for the
 * garbage collector.
 */
export class PairTable {
  /** For each slot: left id + 1 (0 for an empty slot), right id, value. */
  readonly #left: Int32Array;
  readonly #right: Int32Array;
  readonly #value: Int32Array;
  readonly #mask: number;

  /** @param size maximum number of pairs */
  constructor(size: number) {
    // At most half full, which keeps probe sequences short.
    const slots = 2 ** Math.ceil(Math.log2(2 * size + 1));
    this.#mask = slots - 1;
    this.#left = new Int32Array(slots);
    this.#right = new Int32Array(slots);
    this.#value = new Int32Array(slots);
  }

  /** Sets the value of a pair, replacing an earlier one. Ids and value are integers from 0 to 2^31 - 2. */
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

  /** Returns the slot of a pair, or the empty slot for it. */
  #slot(left: number, right: number): number {
    // Knuth's multiplicative hashing, folded so that the upper bits contribute.
    let hash = Math.imul(Math.imul(left, 0x9e3779b1) + right, 0x85ebca6b);
    hash ^= hash >>> 15;
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const entry = this.#left[slot]!;
      if (entry === 0 || (entry === left + 1 && this.#right[slot] === right)) return slot;
    }
  }
}
