import { describe, expect, it } from 'vitest';
import {
  checkChoice,
  chooseCode,
  codeProbabilities,
  noiseOf,
} from '../../../lib/sampling/autoregressive/choose.js';
import { coordinateIndices } from '../../../lib/sampling/autoregressive/coordinates.js';
import { codeOrder } from '../../../lib/sampling/autoregressive/order.js';
import { windowAt, windowSide } from '../../../lib/sampling/autoregressive/window.js';
import { TorchCpuGenerator } from '../../../lib/sampling/generators/mt19937.js';
import { fixture } from '../../support/vqgan/latent-transformer.js';

describe("PyTorch's CPU generator", () => {
  it.each(fixture.generators)(
    'samples exponentials and integers for seed $seed',
    ({ seed, exponential, integers, large, then }) => {
      const generator = new TorchCpuGenerator(seed);
      expect([...generator.exponential(33)]).toEqual(exponential.map(Math.fround));
      expect([...generator.integers(9, 16384)]).toEqual(integers);
      expect([...generator.integers(4, 2 ** 24)]).toEqual(large);
      expect([...generator.exponential(2)]).toEqual(then.map(Math.fround));
    },
  );
});

describe('choosing a code index', () => {
  it.each(fixture.draws)('matches PyTorch with $options', ({ options, logits, probabilities, codes }) => {
    const choice = checkChoice(options);
    const given = Float32Array.from(logits);
    const mine = codeProbabilities(given, choice);
    mine.forEach((p, i) => {
      expect(Math.abs(p - probabilities[i]!)).toBeLessThan(1e-6);
    });
    expect(mine.map((p) => (p > 0 ? 1 : 0))).toEqual(
      Float32Array.from(probabilities.map((p) => (p > 0 ? 1 : 0))),
    );
    expect(
      codes.map((_, seed) =>
        chooseCode(given, choice, noiseOf(choice, new TorchCpuGenerator(seed), given.length)),
      ),
    ).toEqual(codes);
    expect([...given]).toEqual(logits.map(Math.fround));
  });

  it.each([
    { temperature: 0 },
    { temperature: -1 },
    { temperature: Number.NaN },
    { topK: 0 },
    { topK: 1.5 },
    { topP: 0 },
    { topP: 1.01 },
    { sample: 'yes' as never },
    { below: 0 },
  ])('rejects %o', (options) => {
    expect(() => checkChoice(options)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });

  it('is limited to the codebook, as if indices beyond it had not been chosen', () => {
    const given = Float32Array.of(1, 3, 2, 9, 8);
    const noise = () => Float32Array.of(1, 1, 0.1, 1, 1);
    const choose = (options: object) => chooseCode(given, checkChoice(options), noise());
    expect(choose({})).toBe(3);
    expect(choose({ below: 3 })).toBe(2);
    expect(choose({ below: 3, topK: 3 })).toBe(1);
    // Neither of the two most probable indices is allowed, so the candidates come from the allowed ones.
    expect(choose({ below: 3, topK: 2 })).toBe(2);
    expect(choose({ below: 3, topK: 1 })).toBe(1);
  });

  it('rejects logits that are NaN', () => {
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      expect(() => chooseCode(Float32Array.of(0, bad, 1), checkChoice({}), null)).toThrow(
        expect.objectContaining({ code: 'NOT_FINITE' }),
      );
    }
  });
});

describe('the order of code indices', () => {
  it.each(fixture.orders)(
    'matches taming: $name of $height rows of $width',
    ({ name, height, width, order }) => {
      if (order) expect([...codeOrder(name, height, width)!]).toEqual(order);
      else
        expect(() => codeOrder(name, height, width)).toThrow(
          expect.objectContaining({ code: 'INVALID_OPTION' }),
        );
    },
  );

  it('is row by row by default', () => {
    expect(codeOrder('identity', 3, 5)).toBeNull();
    expect(() => codeOrder('diagonal' as never, 4, 4)).toThrow('identity, zcurve, subsample, alternate');
  });
});

it.each(fixture.coordinates)('coordinates match taming: $height by $width', (one) => {
  expect([...coordinateIndices(one.height, one.width, one.factor, one.codes)]).toEqual(one.indices);
});

describe('the sliding window', () => {
  it("has as many code indices as the transformer's block, and no more than in training", () => {
    expect(windowSide({ block: 512, condition: 'grid' })).toBe(16);
    expect(windowSide({ block: 256, condition: 'tokens' })).toBe(16);
    expect(windowSide({ block: 512, condition: 'tokens', trained: 16 })).toBe(16);
    expect(windowSide({ block: 3, condition: 'grid' })).toBe(1);
    // 64 condition indices before 64 indices: the last position is never read.
    expect(windowSide({ block: 127, condition: 'grid', trained: 16 })).toBe(8);
    expect(windowSide({ block: 126, condition: 'grid', trained: 16 })).toBe(7);
  });

  it("has taming's position: row 9 of 20 in the middle and the last row at the edge", () => {
    const rows = Array.from({ length: 20 }, (_, row) => windowAt(row * 40, 20, 40, 16));
    expect(rows.map(({ top }) => top)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 4, 4, 4, 4, 4, 4, 4]);
    expect(rows.map(({ index }) => index / 16)).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8, 9, 10, 11, 12, 13, 14, 15,
    ]);
  });

  it('stays within the image and contains its index, for any side lengths', () => {
    for (const [height, width, side] of [
      [1, 1, 4],
      [5, 9, 4],
      [9, 5, 5],
      [3, 20, 7],
      [16, 16, 16],
    ] as const) {
      for (let place = 0; place < height * width; place++) {
        const window = windowAt(place, height, width, side);
        expect(window.top).toBeGreaterThanOrEqual(0);
        expect(window.left).toBeGreaterThanOrEqual(0);
        expect(window.top + window.height).toBeLessThanOrEqual(height);
        expect(window.left + window.width).toBeLessThanOrEqual(width);
        const row = window.top + Math.floor(window.index / window.width);
        expect(row * width + window.left + (window.index % window.width)).toBe(place);
      }
    }
  });
});
