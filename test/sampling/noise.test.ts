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

describe('generators against PyTorch', () => {
  for (const { rng, seed, draws } of cases) {
    it(`${rng} matches, seed ${seed}, sizes ${draws.map(({ size }) => size).join(', ')}`, () => {
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

  it('have equal seeds for a number and a bigint', () => {
    expect(createGenerator('cpu', 7).randn(20)).toEqual(createGenerator('cpu', 7n).randn(20));
    expect(createGenerator('cuda', -7).randn(20)).toEqual(createGenerator('cuda', 2n ** 64n - 7n).randn(20));
  });

  it('match torch.randn(3, 4, device="cuda") with seed 0 as computed by a GPU', () => {
    // the values that A1111 documents for its NV source
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

  it.each([1.5, Number.NaN, 2 ** 53, 2n ** 64n, -(2n ** 63n) - 1n])('reject the seed %s', (seed) => {
    expect(() => createGenerator('cpu', seed)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });

  it('reject an unknown generator', () => {
    expect(() => createGenerator('gpu' as Rng, 1)).toThrow(/cpu, cuda/);
  });
});

describe('seed sequences against NumPy', () => {
  const sequences =
    fixture<{ entropy: string; spawnKey: number[]; poolSize: number; state: number[] }[]>('seed_sequence');
  it.each(sequences)('match for entropy $entropy, spawn key $spawnKey, pool $poolSize', (sequence) => {
    const { entropy, spawnKey, poolSize, state } = sequence;
    expect([...generateState(BigInt(entropy), spawnKey, poolSize, state.length)]).toEqual(state);
  });
});

describe('noise of a batch', () => {
  it('continues the generator of each image', () => {
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

  it('has mean 0 and standard deviation 1', () => {
    for (const rng of ['cpu', 'cuda'] as const) {
      const numbers = createNoise({ rng, seeds: [1], size: 100_000 }).next();
      const mean = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
      const variance = numbers.reduce((sum, value) => sum + (value - mean) ** 2, 0) / numbers.length;
      expect(Math.abs(mean)).toBeLessThan(0.01);
      expect(Math.abs(variance - 1)).toBeLessThan(0.02);
    }
  });

  it('rejects an empty batch and an invalid size', () => {
    const invalid = expect.objectContaining({ code: 'INVALID_OPTION' });
    expect(() => createNoise({ seeds: [], size: 16 })).toThrow(invalid);
    for (const size of [0, -1, 1.5, Number.NaN])
      expect(() => createNoise({ seeds: [1], size })).toThrow(invalid);
  });
});
