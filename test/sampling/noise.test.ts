import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createGenerator, type Rng } from '../../lib/sampling/generators/index.js';
import { generateState } from '../../lib/sampling/generators/seed-sequence.js';
import { createNoise } from '../../lib/sampling/noise.js';

const fixture = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../fixtures/sampling/${name}.json`, import.meta.url), 'utf8'));

interface RandnCase {
  rng: Rng;
  seed: string;
  draws: { size: number; stride: number; values: number[] }[];
}
const cases = fixture<RandnCase[]>('randn');

describe('generators give the numbers of PyTorch', () => {
  for (const { rng, seed, draws } of cases) {
    it(`${rng}, seed ${seed}, draws of ${draws.map(({ size }) => size).join(', ')}`, () => {
      const generator = createGenerator(rng, BigInt(seed));
      for (const { size, stride, values } of draws) {
        const drawn = generator.randn(size);
        expect(drawn.length).toBe(size);
        expect(values.length).toBe(Math.ceil(size / stride));
        values.forEach((value, i) => {
          expect(Math.abs(drawn[i * stride]! - value)).toBeLessThan(1e-6);
        });
      }
    });
  }

  it('are seeded alike by a number and a bigint', () => {
    expect(createGenerator('cpu', 7).randn(20)).toEqual(createGenerator('cpu', 7n).randn(20));
    expect(createGenerator('cuda', -7).randn(20)).toEqual(createGenerator('cuda', 2n ** 64n - 7n).randn(20));
  });

  it('torch.randn(3, 4, device="cuda") with seed 0, as a GPU gives it', () => {
    // the numbers A1111 documents for its NV source
    const onGpu = [
      -0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564, -0.62285122, -0.32838709,
      -1.07454231, -0.36314407, -1.67105067, 2.26550497,
    ];
    createGenerator('cuda', 0)
      .randn(12)
      .forEach((value, i) => {
        expect(Math.abs(value - onGpu[i]!)).toBeLessThan(1e-6);
      });
  });

  it.each([1.5, Number.NaN, 2 ** 53, 2n ** 64n, -(2n ** 63n) - 1n])('refuse the seed %s', (seed) => {
    expect(() => createGenerator('cpu', seed)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });

  it('refuse a generator they do not know', () => {
    expect(() => createGenerator('gpu' as Rng, 1)).toThrow(/cpu, cuda/);
  });
});

describe('seed sequences are those of NumPy', () => {
  const sequences =
    fixture<{ entropy: string; spawnKey: number[]; poolSize: number; state: number[] }[]>('seed_sequence');
  it.each(sequences)('entropy $entropy, spawn key $spawnKey, pool $poolSize', (sequence) => {
    const { entropy, spawnKey, poolSize, state } = sequence;
    expect([...generateState(BigInt(entropy), spawnKey, poolSize, state.length)]).toEqual(state);
  });
});

describe('noise of a batch', () => {
  it('is for each picture that of its own generator, continued', () => {
    for (const rng of ['cpu', 'cuda'] as const) {
      const noise = createNoise({ rng, seeds: [5, 6, 5], size: 20 });
      const own = [5, 6, 5].map((seed) => createGenerator(rng, seed));
      for (let draw = 0; draw < 3; draw++) {
        const numbers = noise.next();
        own.forEach((generator, picture) => {
          expect(numbers.subarray(picture * 20, picture * 20 + 20)).toEqual(generator.randn(20));
        });
      }
    }
  });

  it('has mean 0 and deviation 1', () => {
    for (const rng of ['cpu', 'cuda'] as const) {
      const numbers = createNoise({ rng, seeds: [1], size: 100_000 }).next();
      const mean = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
      const variance = numbers.reduce((sum, value) => sum + (value - mean) ** 2, 0) / numbers.length;
      expect(Math.abs(mean)).toBeLessThan(0.01);
      expect(Math.abs(variance - 1)).toBeLessThan(0.02);
    }
  });

  it('refuses an empty batch and an impossible size', () => {
    const invalid = expect.objectContaining({ code: 'INVALID_OPTION' });
    expect(() => createNoise({ seeds: [], size: 16 })).toThrow(invalid);
    for (const size of [0, -1, 1.5, Number.NaN])
      expect(() => createNoise({ seeds: [1], size })).toThrow(invalid);
  });
});
