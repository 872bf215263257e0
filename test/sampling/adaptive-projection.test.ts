import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { GuidanceProjection } from '../../lib/sampling/adaptive-projection.js';
import { combinePredictions } from '../../lib/sampling/guidance.js';
import type { BranchSpec } from '../../lib/sampling/network.js';

interface Case {
  scale: number;
  momentum: number;
  threshold: number;
  eta: number;
  rescale: number;
  count: number;
  evaluations: { predictions: number[]; combined: number[] }[];
}
const cases: Case[] = JSON.parse(
  readFileSync(new URL('../fixtures/sampling/projection.json', import.meta.url), 'utf8'),
);
const both = (scale: number): BranchSpec[] => [
  { name: 'negative', conditioning: { tensors: {} }, weight: 1, base: true },
  { name: 'positive', conditioning: { tensors: {} }, weight: scale },
];

describe('adaptive projected guidance', () => {
  it.each(cases)(
    'with eta $eta, threshold $threshold and momentum $momentum matches diffusers',
    ({ scale, count, rescale, evaluations, ...settings }) => {
      const projection = new GuidanceProjection(settings, scale);
      for (const { predictions, combined } of evaluations) {
        const values = Float32Array.from(predictions);
        const guided = combinePredictions(both(scale), values, count, { rescale, projection });
        expect(guided).toHaveLength(combined.length);
        for (const [i, expected] of combined.entries()) expect(guided[i]).toBeCloseTo(expected, 4);
      }
    },
  );

  it('leaves guidance unchanged without limit, momentum and reduction', () => {
    const predictions = Float32Array.of(1, 2, 3, 5);
    const projection = new GuidanceProjection({ eta: 1, threshold: 0, momentum: 0 }, 3);
    expect([...combinePredictions(both(3), predictions, 1, { projection })]).toEqual([7, 11]);
  });

  it('keeps the part of the change that is orthogonal to the positive prediction', () => {
    const projection = new GuidanceProjection({ eta: 0, threshold: 0, momentum: 0 }, 2);
    // The change (1, 1) has the orthogonal part (0, 1) to the prediction (4, 0).
    const predictions = Float32Array.of(3, -1, 4, 0);
    expect([...combinePredictions(both(2), predictions, 1, { projection })]).toEqual([3, 1]);
  });

  it('accepts predictions of zeros', () => {
    const projection = new GuidanceProjection({ eta: 0, threshold: 1, momentum: -0.5 }, 2);
    expect([...combinePredictions(both(2), new Float32Array(4), 1, { projection })]).toEqual([0, 0]);
  });
});
