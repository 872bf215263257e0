import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type Condition,
  checkGuidance,
  combinePredictions,
  conditionsAt,
  repeatFor,
} from '../../lib/sampling/guidance.js';

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
const both: Condition[] = ['negative', 'positive'];

describe('guidance', () => {
  it.each(cases)(
    'of $scale, rescaled by $rescale, is that of diffusers',
    ({ scale, rescale, count, ...each }) => {
      const combined = combinePredictions(
        { scale, rescale },
        both,
        Float32Array.from(each.predictions),
        count,
      );
      expect(combined.length).toBe(each.combined.length);
      each.combined.forEach((expected, i) => {
        expect(Math.abs(combined[i]! - expected)).toBeLessThan(1e-5);
      });
    },
  );

  it('needs both prompts only where it is applied', () => {
    expect(conditionsAt({ scale: 7 }, 3)).toEqual(both);
    expect(conditionsAt({ scale: 1 }, 3)).toEqual(['positive']);
    expect(conditionsAt({ scale: 0 }, 3)).toEqual(['negative']);
    const limited = { scale: 7, interval: [0.3, 5] } as const;
    expect([0.2, 0.3, 1, 5, 5.1].map((sigma) => conditionsAt(limited, sigma).length)).toEqual([
      1, 2, 2, 2, 1,
    ]);
    expect(conditionsAt({ ...limited, scale: 0 }, 6)).toEqual(['positive']);
  });

  it('runs each picture once for each prompt and keeps pictures apart', () => {
    const latents = Float32Array.of(1, 2, 3, 4);
    expect([...repeatFor(both, latents)]).toEqual([1, 2, 3, 4, 1, 2, 3, 4]);
    expect([...repeatFor(['positive'], latents)]).toEqual([1, 2, 3, 4]);
    const alone = (values: number[]) => [
      ...combinePredictions({ scale: 3, rescale: 0.5 }, both, Float32Array.from(values), 1),
    ];
    const batch = combinePredictions(
      { scale: 3, rescale: 0.5 },
      both,
      Float32Array.of(1, 2, -5, 9, 3, 5, 0, 7),
      2,
    );
    expect([...batch]).toEqual([...alone([1, 2, 3, 5]), ...alone([-5, 9, 0, 7])]);
  });

  it('gives the single prediction back where it is skipped', () => {
    const predictions = Float32Array.of(1, 2);
    expect(combinePredictions({ scale: 7, rescale: 1 }, ['positive'], predictions, 1)).toBe(predictions);
  });

  it('leaves a constant prediction finite when rescaling', () => {
    const combined = combinePredictions({ scale: 2, rescale: 1 }, both, Float32Array.of(1, 1, 2, 2), 1);
    expect([...combined]).toEqual([3, 3]);
  });

  it('refuses predictions that do not divide into the pictures', () => {
    expect(() => combinePredictions({ scale: 2 }, both, new Float32Array(6), 2)).toThrow(
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
  ])('refuses %j', (guidance) => {
    expect(() => checkGuidance(guidance)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });

  it('accepts what makes sense', () => {
    expect(() => checkGuidance({ scale: 7.5, interval: [0.2, 10], rescale: 0.7 })).not.toThrow();
    expect(() => checkGuidance({ scale: -2, interval: [0, Number.POSITIVE_INFINITY] })).not.toThrow();
  });
});
