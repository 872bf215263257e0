/**
 * Random choices for dynamic prompts. The numbers are those of the Mersenne Twister MT19937, seeded with the first
 * word of NumPy's `SeedSequence(seed, spawn_key=[stream])`. Only integer arithmetic and IEEE additions,
 * multiplications and divisions are used, so equal seeds give equal choices on every machine.
 */
import { type Seed, seedBits } from '../sampling/generators/generator.js';
import { TorchCpuGenerator } from '../sampling/generators/mt19937.js';
import { generateState } from '../sampling/generators/seed-sequence.js';

const POOL_SIZE = 4;

export class RandomChoices {
  readonly #generator: TorchCpuGenerator;

  /**
   * @param stream distinguishes texts that share a seed, such as the prompt (0) and the negative prompt (1)
   * @throws INVALID_OPTION for a seed that is not a 64-bit integer
   */
  constructor(seed: Seed, stream: number) {
    const [word = 0] = generateState(seedBits(seed), [stream], POOL_SIZE, 1);
    this.#generator = new TorchCpuGenerator(word);
  }

  /** Returns an integer from `least` to `most`, all equally likely. */
  integer(least: number, most: number): number {
    return least + Math.floor(this.#unit() * (most - least + 1));
  }

  /** Returns an index with a probability proportional to its weight. At least one weight has to be positive. */
  index(weights: readonly number[]): number {
    return new WeightTree(weights).draw(this.#unit());
  }

  /**
   * Returns up to `count` distinct indices in the order in which they are drawn, each with a probability proportional
   * to its weight among those that remain. Indices of weight 0 are never drawn.
   */
  indices(weights: readonly number[], count: number): number[] {
    const tree = new WeightTree(weights);
    const drawn: number[] = [];
    while (drawn.length < count && tree.total > 0) {
      const index = tree.draw(this.#unit());
      tree.remove(index);
      drawn.push(index);
    }
    return drawn;
  }

  /** Returns a number in [0, 1) of 53 random bits. */
  #unit(): number {
    const high = this.#generator.random() >>> 5;
    const low = this.#generator.random() >>> 6;
    return (high * 2 ** 26 + low) * 2 ** -53;
  }
}

/** Sums of weights in a binary tree: the children of node i are 2i and 2i + 1, the leaves are the weights. */
class WeightTree {
  readonly #sums: Float64Array;
  readonly #leaves: number;

  constructor(weights: readonly number[]) {
    this.#leaves = 1;
    while (this.#leaves < weights.length) this.#leaves *= 2;
    this.#sums = new Float64Array(2 * this.#leaves);
    this.#sums.set(weights, this.#leaves);
    for (let node = this.#leaves - 1; node > 0; node--) this.#add(node);
  }

  get total(): number {
    return this.#sums[1]!;
  }

  /** Returns the index whose share of the total contains the fraction `unit`. */
  draw(unit: number): number {
    let rest = unit * this.total;
    let node = 1;
    while (node < this.#leaves) {
      const [left, right] = [this.#sums[2 * node]!, this.#sums[2 * node + 1]!];
      // Rounding must not lead to a branch of weight 0.
      const goesRight = left === 0 || (rest >= left && right > 0);
      if (goesRight) rest -= left;
      node = 2 * node + (goesRight ? 1 : 0);
    }
    return node - this.#leaves;
  }

  remove(index: number): void {
    let node = index + this.#leaves;
    this.#sums[node] = 0;
    for (node >>= 1; node > 0; node >>= 1) this.#add(node);
  }

  #add(node: number): void {
    this.#sums[node] = this.#sums[2 * node]! + this.#sums[2 * node + 1]!;
  }
}
