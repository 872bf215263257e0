import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createBrownianNoise } from '../../lib/sampling/brownian.js';
import type { Rng } from '../../lib/sampling/generators/index.js';
import { createNoise } from '../../lib/sampling/noise.js';

interface Case {
  rng: Rng;
  seed: string;
  size: number;
  low: number;
  high: number;
  queries: [number, number][];
  values: number[][];
}
const cases: Case[] = JSON.parse(
  readFileSync(new URL('../fixtures/sampling/brownian.json', import.meta.url), 'utf8'),
);

const largestDifference = (a: Float32Array, b: readonly number[]) =>
  a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);

describe('Brownian noise against torchsde', () => {
  it.each(cases)(
    'matches for $rng, seed $seed, over [$low, $high]',
    ({ rng, seed, size, low, high, queries, values }) => {
      const noise = createBrownianNoise(rng, [BigInt(seed)], size, low, high);
      queries.forEach(([from, to], i) => {
        const increment = noise(from, to);
        expect(increment.length).toBe(size);
        expect(largestDifference(increment, values[i]!), `query ${i}: ${from} to ${to}`).toBeLessThan(1e-6);
      });
    },
  );

  it.each(cases)(
    'matches in any order of queries: $rng, seed $seed',
    ({ rng, seed, size, low, high, queries, values }) => {
      const noise = createBrownianNoise(rng, [BigInt(seed)], size, low, high);
      const order = queries.map((_, i) => (i * 7 + 3) % queries.length);
      for (const i of order) {
        expect(largestDifference(noise(...queries[i]!), values[i]!), `query ${i}`).toBeLessThan(1e-6);
      }
    },
  );
});

describe('Brownian noise', () => {
  const range = [0.03, 14.6] as const;

  it('is the same when computed in turns, which do not block the event loop', async () => {
    const options = { seeds: [3, 4], size: 4 * 64 * 64 };
    const expected = createNoise(options).brownian(...range)(14.6, 7.3);
    const { inTurns } = createNoise(options).brownian(...range);
    let turns = 0;
    let running = true;
    const turn = () => {
      turns++;
      if (running) setImmediate(turn);
    };
    setImmediate(turn);
    const start = performance.now();
    const noise = await inTurns!(14.6, 7.3);
    running = false;
    expect(noise).toEqual(expected);
    // On a busy machine turns are long, so the test only checks that there are several: a blocked loop has
    // one at most.
    if (performance.now() - start > 50) expect(turns).toBeGreaterThan(1);
  });

  it('has a separate path for each image of a batch', () => {
    const batch = createNoise({ seeds: [3, 4], size: 64 }).brownian(...range);
    const alone = [3, 4].map((seed) => createNoise({ seeds: [seed], size: 64 }).brownian(...range));
    for (const [from, to] of [
      [14.6, 7.3],
      [7.3, 0.5],
      [0.5, 0.03],
    ] as const) {
      const noise = batch(from, to);
      alone.forEach((path, i) => {
        expect(noise.subarray(i * 64, i * 64 + 64)).toEqual(path(from, to));
      });
    }
  });

  it('does not depend on initial noise sampled before', () => {
    const drawn = createNoise({ seeds: [3], size: 64 });
    drawn.next();
    expect(drawn.brownian(...range)(5, 4)).toEqual(
      createNoise({ seeds: [3], size: 64 }).brownian(...range)(5, 4),
    );
  });

  it('is additive: two steps, weighted by length, equal one step over both', () => {
    const noise = createBrownianNoise('cpu', [9], 256, ...range);
    const [whole, first, second] = [noise(9, 2), noise(9, 5), noise(5, 2)];
    whole.forEach((value, i) => {
      expect(value * Math.sqrt(7)).toBeCloseTo(first[i]! * Math.sqrt(4) + second[i]! * Math.sqrt(3), 4);
    });
  });

  it('changes its sign with the direction of the step', () => {
    const noise = createBrownianNoise('cpu', [9], 16, ...range);
    expect(noise(2, 9)).toEqual(noise(9, 2).map((value) => -value));
  });

  it('has unit variance over short and long steps', () => {
    const noise = createBrownianNoise('cuda', [1], 20_000, ...range);
    for (const [from, to] of [
      [14.6, 0.03],
      [1.5, 1.2],
      [0.0301, 0.03],
    ] as const) {
      const variance = noise(from, to).reduce((sum, value) => sum + value * value, 0) / 20_000;
      expect(Math.abs(variance - 1)).toBeLessThan(0.05);
    }
  });

  it("can span another interval than the sampler's sigmas", () => {
    const wide = createNoise({ seeds: [3], size: 64, brownianRange: range }).brownian(1, 2);
    expect(wide(2, 1)).toEqual(createNoise({ seeds: [3], size: 64 }).brownian(...range)(2, 1));
  });

  it('is zero over a step of length 0', () => {
    const noise = createBrownianNoise('cpu', [9], 16, ...range);
    expect(noise(3, 3)).toEqual(new Float32Array(16));
    expect(noise(3, 3 + 2 ** -22)).toEqual(new Float32Array(16));
  });

  it('computes a large latent quickly', () => {
    const noise = createBrownianNoise('cuda', [9], 4 * 128 * 128, ...range);
    const start = performance.now();
    for (let i = 0; i < 10; i++) noise(14.6 * 0.6 ** i, 14.6 * 0.6 ** (i + 1));
    expect((performance.now() - start) / 10).toBeLessThan(2000);
  });

  it.each([
    [-1, 2],
    [2, 2],
    [3, 2],
    [0, Number.POSITIVE_INFINITY],
    [Number.NaN, 1],
    [0, Number.NaN],
  ])('rejects the interval [%s, %s]', (low, high) => {
    expect(() => createBrownianNoise('cpu', [1], 16, low, high)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    );
  });
});
