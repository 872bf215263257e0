import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  activeBranches,
  checkGuidance,
  combinePredictions,
  type Guidance,
  guidanceBranches,
} from '../../lib/sampling/guidance.js';
import type { BranchSpec } from '../../lib/sampling/network.js';
import { Tensor } from '../../lib/tensor/tensor.js';

interface Case {
  scale: number;
  rescale: number;
  count: number;
  predictions: number[];
  combined: number[];
}
const cases: Case[] = JSON.parse(
  readFileSync(new URL('../fixtures/sampling/guidance.json', import.meta.url), 'utf8'),
);
const NOTHING = { positive: { tensors: {} }, negative: { tensors: {} } };
const both = (scale: number): BranchSpec[] => [
  { name: 'negative', conditioning: NOTHING.negative, weight: 1, base: true },
  { name: 'positive', conditioning: NOTHING.positive, weight: scale },
];
/** Returns the names of the branches that run at a sigma. */
const namesAt = (guidance: Guidance, sigma: number): string[] => {
  const branches = guidanceBranches(NOTHING, guidance);
  return activeBranches(branches, guidance.interval, sigma).map((i) => branches[i]!.name);
};

describe('guidance', () => {
  it.each(cases)(
    'of $scale, rescaled by $rescale, matches diffusers',
    ({ scale, rescale, count, ...each }) => {
      const combined = combinePredictions(both(scale), Float32Array.from(each.predictions), count, rescale);
      expect(combined.length).toBe(each.combined.length);
      each.combined.forEach((expected, i) => {
        expect(Math.abs(combined[i]! - expected)).toBeLessThan(1e-5);
      });
    },
  );

  it('runs both branches only where it applies', () => {
    expect(namesAt({ scale: 7 }, 3)).toEqual(['negative', 'positive']);
    expect(namesAt({ scale: 1 }, 3)).toEqual(['positive']);
    expect(namesAt({ scale: 0 }, 3)).toEqual(['negative']);
    const limited = { scale: 7, interval: [0.3, 5] } as const;
    expect([0.2, 0.3, 1, 5, 5.1].map((sigma) => namesAt(limited, sigma).length)).toEqual([1, 2, 2, 2, 1]);
    expect(namesAt({ ...limited, scale: 0 }, 6)).toEqual(['positive']);
    expect(namesAt({ ...limited, scale: 0 }, 3)).toEqual(['negative']);
  });

  it('keeps the images of a batch separate', () => {
    const alone = (values: number[]) => [...combinePredictions(both(3), Float32Array.from(values), 1, 0.5)];
    const batch = combinePredictions(both(3), Float32Array.of(1, 2, -5, 9, 3, 5, 0, 7), 2, 0.5);
    expect([...batch]).toEqual([...alone([1, 2, 3, 5]), ...alone([-5, 9, 0, 7])]);
  });

  it('returns the single prediction where it is skipped', () => {
    const predictions = Float32Array.of(1, 2);
    expect(combinePredictions([both(7)[1]!], predictions, 1, 1)).toBe(predictions);
  });

  it('adds several prompts to one base, each with its weight or mask', () => {
    const [base, prompt] = both(2);
    const second = { ...prompt!, weight: Tensor.from(Float32Array.of(0, 1), [1, 2]) };
    const combined = combinePredictions([base!, prompt!, second], Float32Array.of(1, 1, 2, 3, 5, 6), 1);
    expect([...combined]).toEqual([1 + 2 * 1, 1 + 2 * 2 + 5]);
  });

  it('normalizes the weights of prompts without a base', () => {
    const prompts = [1, 3].map((weight) => ({ ...both(0)[1]!, weight }));
    expect([...combinePredictions(prompts, Float32Array.of(4, 8), 1)]).toEqual([7]);
  });

  it('keeps a constant prediction finite when rescaling', () => {
    const combined = combinePredictions(both(2), Float32Array.of(1, 1, 2, 2), 1, 1);
    expect([...combined]).toEqual([3, 3]);
  });

  it('rejects predictions that cannot be divided among the images', () => {
    expect(() => combinePredictions(both(2), new Float32Array(6), 2)).toThrow(
      expect.objectContaining({ code: 'SHAPE_MISMATCH' }),
    );
  });

  it.each([
    { scale: Number.NaN },
    { scale: Number.POSITIVE_INFINITY },
    { scale: 7, interval: [3, 2] as const },
    { scale: 7, interval: [-1, 2] as const },
    { scale: 7, interval: [0, Number.NaN] as const },
    { scale: 7, rescale: 1.1 },
    { scale: 7, rescale: -0.1 },
  ])('rejects %j', (guidance) => {
    expect(() => checkGuidance(guidance)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });

  it('accepts valid combinations', () => {
    expect(() => checkGuidance({ scale: 7.5, interval: [0.2, 10], rescale: 0.7 })).not.toThrow();
    expect(() => checkGuidance({ scale: -2, interval: [0, Number.POSITIVE_INFINITY] })).not.toThrow();
  });
});
