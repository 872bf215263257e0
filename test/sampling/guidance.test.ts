import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { planBranches } from '../../lib/sampling/branch-plan.js';
import {
  activeBranches,
  checkGuidance,
  combinePredictions,
  constantSchedule,
  type Guidance,
  type GuidanceSchedule,
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
const [positive, negative, other] = [{ tensors: {} }, { tensors: {} }, { tensors: {} }];
const both = (scale: number): BranchSpec[] => [
  { name: 'negative', conditioning: negative, weight: 1, base: true },
  { name: 'positive', conditioning: positive, weight: scale },
];
/** Returns the names of the branches that run at a sigma. */
const namesAt = (guidance: Guidance, sigma: number): string[] => {
  const plan = planBranches(constantSchedule(positive, negative), guidance);
  return activeBranches(plan.branches, plan.at(0), guidance.interval, sigma).map(
    (i) => plan.branches[i]!.name,
  );
};

describe('guidance', () => {
  it.each(cases)(
    'of $scale, rescaled by $rescale, matches diffusers',
    ({ scale, rescale, count, ...each }) => {
      const combined = combinePredictions(both(scale), Float32Array.from(each.predictions), count, {
        rescale,
      });
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
    const alone = (values: number[]) => [
      ...combinePredictions(both(3), Float32Array.from(values), 1, { rescale: 0.5 }),
    ];
    const batch = combinePredictions(both(3), Float32Array.of(1, 2, -5, 9, 3, 5, 0, 7), 2, { rescale: 0.5 });
    expect([...batch]).toEqual([...alone([1, 2, 3, 5]), ...alone([-5, 9, 0, 7])]);
  });

  it('returns the single prediction where it is skipped', () => {
    const predictions = Float32Array.of(1, 2);
    expect(combinePredictions([both(7)[1]!], predictions, 1, { rescale: 1 })).toBe(predictions);
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

  it('normalizes the masks of prompts without a base at each element', () => {
    const masks = [
      [2, 0],
      [2, 4],
    ].map((values) => ({ ...both(0)[1]!, weight: Tensor.from(Float32Array.from(values), [1, 2]) }));
    expect([...combinePredictions(masks, Float32Array.of(1, 5, 3, 7), 1)]).toEqual([2, 7]);
  });

  it('rejects a mask that does not fit the latent', () => {
    const [base, prompt] = both(2);
    const masked = { ...prompt!, weight: Tensor.zeros([3]) };
    expect(() => combinePredictions([base!, masked], new Float32Array(8), 1)).toThrow(
      expect.objectContaining({ code: 'SHAPE_MISMATCH' }),
    );
  });

  it('selects the branches of each phase and lists equal ones once', () => {
    const one = { conditioning: positive, weight: 1 };
    const two = { conditioning: other, weight: 1 };
    const schedule: GuidanceSchedule = [
      { until: 1, positives: [one], negative },
      { until: 2, positives: [two], negative },
      { until: 5, positives: [one], negative },
    ];
    const plan = planBranches(schedule, { scale: 7 });
    expect(plan.branches.map(({ conditioning }) => conditioning)).toEqual([negative, positive, other]);
    expect([0, 1, 2, 3, 5, 9].map((evaluation) => plan.at(evaluation))).toEqual([
      [0, 1],
      [0, 1],
      [0, 2],
      [0, 1],
      [0, 1],
      [0, 1],
    ]);
  });

  it('multiplies the weights of several prompts by the scale, and omits the base where they sum to 1', () => {
    const positives = [
      { conditioning: positive, weight: 0.25 },
      { conditioning: other, weight: 0.75 },
    ];
    const planned = (scale: number) =>
      planBranches([{ until: 0, positives, negative }], { scale }).branches.map(({ name, weight }) => [
        name,
        weight,
      ]);
    expect(planned(4)).toEqual([
      ['negative', 1],
      ['positive', 1],
      ['positive 2', 3],
    ]);
    expect(planned(1)).toEqual([
      ['positive', 0.25],
      ['positive 2', 0.75],
    ]);
  });

  it('rescales to the deviation of the weighted mean of several prompts', () => {
    const [base, prompt] = both(2);
    const branches = [base!, { ...prompt!, weight: 2 }, { ...prompt!, weight: 6 }];
    const predictions = Float32Array.of(0, 0, 4, 8, 0, 4);
    const guided = [2 * 4 + 6 * 0, 2 * 8 + 6 * 4];
    const mean = [(2 * 4) / 8, (2 * 8 + 6 * 4) / 8];
    const deviation = ([a = 0, b = 0]: number[]) => Math.abs(a - b) / 2;
    const factor = deviation(mean) / deviation(guided);
    const combined = [...combinePredictions(branches, predictions, 1, { rescale: 1 })];
    combined.forEach((value, i) => {
      expect(value).toBeCloseTo(guided[i]! * factor, 5);
    });
  });

  it('keeps a constant prediction finite when rescaling', () => {
    const combined = combinePredictions(both(2), Float32Array.of(1, 1, 2, 2), 1, { rescale: 1 });
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

describe('guidance that the network embeds', () => {
  const schedule: GuidanceSchedule = [
    { until: 1, positives: [{ conditioning: positive, weight: 1 }], negative },
    {
      until: 5,
      positives: [
        { conditioning: positive, weight: 1 },
        { conditioning: other, weight: 3 },
      ],
      negative,
    },
  ];
  const guidance = { scale: 8, interval: [0, 1], embedded: true } as const;
  const { branches, at } = planBranches(schedule, guidance);

  it('runs the positive branches at every sigma, with the scale in their conditioning', () => {
    expect(branches.map(({ name, weight }) => [name, weight])).toEqual([
      ['positive', 1],
      ['positive 2', 3],
    ]);
    for (const { conditioning } of branches) expect([...conditioning.tensors.guidance!.data]).toEqual([8]);
    expect([at(0), at(1), at(2), at(9)]).toEqual([[0], [0], [0, 1], [0, 1]]);
    expect(activeBranches(branches, at(2), guidance.interval, 10)).toEqual([0, 1]);
  });

  it('averages their predictions by weight', () => {
    expect([...combinePredictions(branches, Float32Array.of(1, 2, 5, 6), 1)]).toEqual([4, 5]);
  });

  it('runs the positive branch for the scale 0 too', () => {
    const plan = planBranches(schedule, { scale: 0, embedded: true });
    expect(plan.branches.map(({ name }) => name)).toEqual(['positive', 'positive 2']);
  });
});
