/**
 * Brownian motion that depends only on a seed, not on the order of queries: torchsde's `BrownianTree` with tolerance
 * 1e-6 and k-diffusion's `BrownianTreeNoiseSampler` (torchsde 0.2.6, k-diffusion 0.1.1; the Brownian bridge is from
 * Li et al. 2020, arXiv:2001.01328, section 4).
 *
 * The interval is halved recursively. The increment of a half is a Brownian bridge of its parent's increment, with
 * noise seeded by the parent's position in the tree; the increment of a queried interval is a sum of those of its
 * parts. Values are rounded to f32 exactly as in PyTorch, because the results are small differences of large sums.
 */
import { setImmediate } from 'node:timers/promises';
import { invalidOption } from '../errors.js';
import { createGenerator, type Rng, type Seed, seedBits } from './generators/index.js';
import { generateState } from './generators/seed-sequence.js';
import type { BrownianNoise, Latent } from './types.js';

const POOL_SIZE = 24;

/** Far above the sigmas of any model; the tree is then 40 levels deep. */
const MAX_SIGMA = 1e6;

const f32 = Math.fround;

/** A node of the tree: the interval [start, end], number `key` from the left at its depth. */
interface Interval {
  readonly start: number;
  readonly end: number;
  readonly depth: number;
  readonly key: number;
}

class BrownianTree {
  private readonly root: Interval;
  private readonly rootIncrement: Float32Array;
  private readonly entropy: bigint;
  /**
   * Increments of left halves by the parent's position, of the last and the current query. A sampler's next step
   * starts where its last one ended, so these cover its path (24 levels for sigmas up to 16); older ones are
   * discarded.
   */
  private last = new Map<number, Float32Array>();
  private current = new Map<number, Float32Array>();

  /** @param size values per increment. @param start time less than `end` */
  constructor(
    private readonly rng: Rng,
    seed: Seed,
    private readonly size: number,
    start: number,
    end: number,
  ) {
    this.entropy = seedBits(seed);
    this.root = { start: toTolerance(start), end: toTolerance(end), depth: 0, key: 0 };
    const scale = f32(Math.sqrt(end - start));
    const [rootSeed] = generateState(this.entropy, [], POOL_SIZE, 3);
    this.rootIncrement = this.randn(rootSeed!).map((value) => value * scale);
  }

  /**
   * Computes W(to) - W(from) for from <= to; times are clamped to the tree's interval and rounded to its tolerance.
   * Yields after each node, so that the caller can interleave other work.
   */
  *increment(from: number, to: number): Generator<void, Float32Array> {
    const { start, end } = this.root;
    const clamped = (t: number) => toTolerance(Math.min(Math.max(t, start), end));
    const sum = new Float32Array(this.size);
    const [a, b] = [clamped(from), clamped(to)];
    if (a < b) {
      yield* this.add(sum, a, b, this.root, this.rootIncrement);
      this.last = this.current;
      this.current = new Map();
    }
    return sum;
  }

  /** Adds the increment over [from, to], a part of the interval, from left to right. */
  private *add(
    sum: Float32Array,
    from: number,
    to: number,
    interval: Interval,
    increment: Float32Array,
  ): Generator<void, void> {
    const { start, end, depth, key } = interval;
    if (from === start && to === end) {
      for (let i = 0; i < sum.length; i++) sum[i]! += increment[i]!;
      return;
    }
    const middle = toTolerance(0.5 * (end + start));
    const left = this.leftIncrement(interval, middle, increment);
    yield;
    if (from < middle) {
      const half = { start, end: middle, depth: depth + 1, key: 2 * key };
      yield* this.add(sum, from, Math.min(to, middle), half, left);
    }
    if (to > middle) {
      const half = { start: middle, end, depth: depth + 1, key: 2 * key + 1 };
      const right = new Float32Array(increment.length);
      for (let i = 0; i < right.length; i++) right[i] = increment[i]! - left[i]!;
      yield* this.add(sum, Math.max(from, middle), to, half, right);
    }
  }

  /** Returns the increment of the left half of an interval by a Brownian bridge. */
  private leftIncrement(interval: Interval, middle: number, increment: Float32Array): Float32Array {
    const { start, end, depth, key } = interval;
    const position = depth * 2 ** 44 + key;
    let left = this.last.get(position);
    if (left === undefined) {
      const [seed] = generateState(this.entropy, [key, depth], POOL_SIZE, 4);
      const noise = this.randn(seed!);
      const perLength = 1 / (end - start);
      const deviation = f32(Math.sqrt((middle - start) * (end - middle) * perLength));
      const [length, reciprocal] = [f32(middle - start), f32(perLength)];
      left = noise;
      for (let i = 0; i < left.length; i++)
        left[i] = f32(f32(length * increment[i]!) * reciprocal) + f32(deviation * noise[i]!);
    }
    this.current.set(position, left);
    return left;
  }

  private randn(seed: number): Float32Array {
    return createGenerator(this.rng, seed).randn(this.size);
  }
}

/**
 * Creates unit-variance noise for steps between sigmas: for each image, the increment over [sigma, sigmaNext] of its
 * own tree over [sigmaMin, sigmaMax], divided by the square root of the step's length. Sigmas are first rounded to
 * f32 as in k-diffusion, because a change of 1e-6 in sigma changes the path by 1e-3. A step of length 0 returns
 * zeros.
 *
 * @throws INVALID_OPTION unless 0 <= sigmaMin < sigmaMax <= 1e6
 */
export function createBrownianNoise(
  rng: Rng,
  seeds: readonly Seed[],
  size: number,
  sigmaMin: number,
  sigmaMax: number,
): BrownianNoise {
  const [low, high] = [f32(sigmaMin), f32(sigmaMax)];
  if (!(low >= 0)) throw invalidOption('sigmaMin', 'a number of at least 0', sigmaMin);
  if (!(high > low && high <= MAX_SIGMA)) {
    throw invalidOption('sigmaMax', `a number above sigmaMin (${low}) and at most ${MAX_SIGMA}`, sigmaMax);
  }
  const trees = seeds.map((seed) => new BrownianTree(rng, seed, size, low, high));
  function* increments(sigma: number, sigmaNext: number): Generator<void, Latent> {
    const [from, to] = [f32(sigma), f32(sigmaNext)];
    const noise = new Float32Array(trees.length * size);
    if (from === to) return noise;
    const divisor = f32(Math.sqrt(f32(Math.abs(to - from)))) * (from < to ? 1 : -1);
    for (const [index, tree] of trees.entries()) {
      const increment = yield* tree.increment(Math.min(from, to), Math.max(from, to));
      for (let i = 0; i < size; i++) noise[index * size + i] = increment[i]! / divisor;
    }
    return noise;
  }
  return Object.assign((sigma: number, sigmaNext: number) => runSync(increments(sigma, sigmaNext)), {
    inTurns: (sigma: number, sigmaNext: number) => inTurns(increments(sigma, sigmaNext)),
  });
}

function runSync<T>(work: Generator<void, T>): T {
  for (;;) {
    const next = work.next();
    if (next.done) return next.value;
  }
}

/** Milliseconds of work after which control returns to the event loop. */
const MAX_TURN = 5;

async function inTurns<T>(work: Generator<void, T>): Promise<T> {
  for (let began = performance.now(); ; ) {
    const next = work.next();
    if (next.done) return next.value;
    if (performance.now() - began < MAX_TURN) continue;
    await setImmediate();
    began = performance.now();
  }
}

/** Python's `round(t, 6)`: rounds the exact value to six decimals, exact ties to the even digit. */
function toTolerance(t: number): number {
  const rounded = Number(t.toFixed(6));
  // At six decimals only odd multiples of 1/128 are exact ties, which toFixed rounds up.
  if ((t * 128) % 2 !== 1) return rounded;
  const millionths = Math.floor(t * 1e6);
  return Number(`${millionths % 2 === 0 ? millionths : millionths + 1}e-6`);
}
