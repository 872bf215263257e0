/** A binary heap of pairs to be merged: lowest rank first, leftmost first for equal ranks. */
export class MergeQueue {
  readonly #ranks: number[] = [];
  readonly #positions: number[] = [];

  get length(): number {
    return this.#ranks.length;
  }

  push(rank: number, position: number): void {
    let i = this.#ranks.push(rank) - 1;
    this.#positions.push(position);
    for (let parent = (i - 1) >> 1; i > 0 && this.#before(i, parent); parent = (i - 1) >> 1) {
      this.#swap(i, parent);
      i = parent;
    }
  }

  /** Removes and returns the first pair. The queue must not be empty. */
  pop(): { rank: number; position: number } {
    const top = { rank: this.#ranks[0]!, position: this.#positions[0]! };
    this.#swap(0, this.length - 1);
    this.#ranks.pop();
    this.#positions.pop();
    for (let i = 0; ; ) {
      let first = i;
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < this.length && this.#before(child, first)) first = child;
      if (first === i) return top;
      this.#swap(i, first);
      i = first;
    }
  }

  #before(a: number, b: number): boolean {
    const order = this.#ranks[a]! - this.#ranks[b]!;
    return order < 0 || (order === 0 && this.#positions[a]! < this.#positions[b]!);
  }

  #swap(a: number, b: number): void {
    [this.#ranks[a], this.#ranks[b]] = [this.#ranks[b]!, this.#ranks[a]!];
    [this.#positions[a], this.#positions[b]] = [this.#positions[b]!, this.#positions[a]!];
  }
}
