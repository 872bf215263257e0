import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DiscreteSchedule } from '../../lib/sampling/discrete-schedule.js';
import { SDXL_STEPS } from '../../lib/sampling/schedules/align-your-steps.js';
import {
  resolveSchedule,
  type ScheduleContext,
  scheduleNames,
  scheduleSigmas,
  schedules,
} from '../../lib/sampling/schedules/index.js';
import { inverseBeta } from '../../lib/sampling/schedules/inverse-beta.js';

const fixture = (name: string) =>
  JSON.parse(readFileSync(new URL(`../fixtures/sampling/${name}.json`, import.meta.url), 'utf8'));

interface Case extends Omit<ScheduleContext, 'schedule'> {
  model: string;
  schedule: string;
  n: number;
  length: number;
  stride: number;
  fromEnd: number[];
  family?: string;
}
const cases: Case[] = fixture('schedules');
const models = new Map<string, DiscreteSchedule>();
for (const { name, config } of fixture('denoiser')) models.set(name, DiscreteSchedule.fromConfig(config));
const sd = models.get('sd')!;

describe('schedules against k-diffusion and A1111', () => {
  for (const name of scheduleNames) {
    for (const model of models.keys()) {
      const ours = cases.filter((each) => each.schedule === name && each.model === model);
      if (ours.length === 0) continue;
      it(`${name} matches for ${model}, ${ours.length} values`, () => {
        for (const { n, length, stride, fromEnd, sigmaMin, sigmaMax, rho, family } of ours) {
          const schedule = models.get(model)!;
          const sigmas = scheduleSigmas(name, n, {
            schedule,
            sigmaMin,
            sigmaMax,
            rho,
            alignYourSteps: family?.startsWith('sdxl') ? SDXL_STEPS : undefined,
          });
          expect(sigmas.length).toBe(length);
          expect(fromEnd.length).toBe(Math.ceil(length / stride));
          fromEnd.forEach((expected, i) => {
            const actual = sigmas[length - 1 - i * stride]!;
            expect(Math.abs(actual - expected), `${n} steps, ${i} from the end`).toBeLessThanOrEqual(
              1e-6 * expected,
            );
          });
        }
      });
    }
  }

  it('are all covered', () => {
    expect(new Set(cases.map(({ schedule }) => schedule))).toEqual(new Set(scheduleNames));
  });
});

describe('every schedule', () => {
  it.each(scheduleNames)('%s descends strictly, in f32, for one step and for many', (name) => {
    for (const schedule of models.values()) {
      for (const n of [1, 2, 5, 20, 77, 100]) {
        const sigmas = scheduleSigmas(name, n, { schedule });
        if (name !== 'ddim') expect(sigmas.length).toBe(n + 1);
        expect(sigmas.at(-1)).toBe(name === 'kl_optimal' ? Math.fround(sigmas.at(-1)!) : 0);
        sigmas.forEach((sigma, i) => {
          expect(sigma).toBe(Math.fround(sigma));
          if (i > 0) expect(sigma).toBeLessThan(sigmas[i - 1]!);
        });
      }
    }
  });

  it.each(scheduleNames)('%s of more steps than timesteps works or reports why not', (name) => {
    for (const n of [1001, 3000, 10_000]) {
      try {
        const sigmas = scheduleSigmas(name, n, { schedule: sd });
        expect(sigmas.every((sigma, i) => i === 0 || sigma < sigmas[i - 1]!)).toBe(true);
      } catch (error) {
        expect(error).toMatchObject({ code: 'INVALID_OPTION' });
        expect(String(error)).toContain(`${name} cannot keep ${n} steps apart`);
      }
    }
  });

  it.each([0, -1, 2.5, Number.NaN, 10_001, 2 ** 32])('rejects %s steps', (n) => {
    expect(() => scheduleSigmas('karras', n, { schedule: sd })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    );
  });

  it.each([
    { sigmaMin: 0 },
    { sigmaMin: -1 },
    { sigmaMin: 3, sigmaMax: 2 },
    { sigmaMax: Number.POSITIVE_INFINITY },
    { sigmaMin: Number.NaN },
    { rho: 0 },
    { rho: Number.NaN },
  ])('rejects the range %j', (range) => {
    expect(() => scheduleSigmas('karras', 5, { schedule: sd, ...range })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    );
  });
});

describe('a schedule name', () => {
  it("is found in any case and spelling, by A1111's label, or by alias", () => {
    for (const { name, label, aliases } of schedules) {
      for (const each of [name, label, ...aliases, label.toUpperCase(), name.replaceAll('_', '-')]) {
        expect(resolveSchedule(each), each).toBe(name);
      }
    }
    expect(resolveSchedule('SGM Uniform')).toBe('sgm_uniform');
    expect(resolveSchedule('SGMUniform')).toBe('sgm_uniform');
    expect(resolveSchedule('Normal')).toBe('discrete');
    expect(resolveSchedule('uniform')).toBe('discrete');
    expect(resolveSchedule('align your steps')).toBe('align_your_steps');
  });

  it("may be automatic, which resolves to the sampler's default", () => {
    expect(resolveSchedule('Automatic')).toBe('discrete');
    expect(resolveSchedule('automatic', 'karras')).toBe('karras');
  });

  it.each(['', 'karas', 'constructor', '__proto__'])('is rejected for %j', (name) => {
    expect(() => resolveSchedule(name)).toThrow(/one of discrete, karras, .*kl_optimal/);
  });
});

describe('the inverse of the incomplete beta function', () => {
  const quantiles: { a: number; b: number; values: [number, number][] }[] = fixture('beta');
  it.each(quantiles)('matches SciPy for alpha $a, beta $b', ({ a, b, values }) => {
    for (const [p, x] of values) expect(Math.abs(inverseBeta(p, a, b) - x), `p ${p}`).toBeLessThan(1e-12);
  });
});
