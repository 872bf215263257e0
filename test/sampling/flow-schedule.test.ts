import { describe, expect, it } from 'vitest';
import { createDenoise, type Predict } from '../../lib/sampling/denoiser.js';
import type { FlowConfig } from '../../lib/sampling/flow-config.js';
import { FlowSchedule } from '../../lib/sampling/flow-schedule.js';
import { flux2Mu, linearMu } from '../../lib/sampling/flow-shift.js';
import { evenTimes, trailingTimes } from '../../lib/sampling/flow-times.js';
import { noiseRatio, sigmaOfRatio, withFiniteRatios } from '../../lib/sampling/noise-schedule.js';
import { scalings } from '../../lib/sampling/prediction.js';
import { scheduleNames, scheduleSigmas } from '../../lib/sampling/schedules/index.js';
import { flowSchedules } from '../support/sampling/flow.js';
import { stableDiffusion } from '../support/sampling/samplers.js';

interface Case {
  config: FlowConfig;
  tokens?: number;
  mu?: number;
  times: 'even' | 'trailing';
  n: number;
  sigmas: number[];
  timesteps?: number[];
}
const cases: Case[] = flowSchedules.scheduler;
const named: { name: string; n: number; sigmas: number[] }[] = flowSchedules.named;
const mus: [tokens: number, steps: number, mu: number][] = flowSchedules.flux2Mu;

const imageOf = ({ tokens }: Pick<Case, 'tokens'>) => (tokens === undefined ? {} : { tokens });
const isSpaced = ({ config }: Case) =>
  Boolean(config.use_karras_sigmas || config.use_exponential_sigmas || config.use_beta_sigmas);

function expectClose(actual: readonly number[], expected: readonly number[], tolerance = 1e-6): void {
  expect(actual).toHaveLength(expected.length);
  expected.forEach((value, i) => {
    expect(Math.abs(actual[i]! - value), `${i}: ${actual[i]} for ${value}`).toBeLessThanOrEqual(tolerance);
  });
}

describe('sigmas of FlowMatchEulerDiscreteScheduler in diffusers', () => {
  const groups = new Map<string, Case[]>();
  for (const each of cases) {
    const title = `${JSON.stringify(each.config)}${each.tokens ? `, ${each.tokens} tokens` : ''}`;
    groups.set(title, [...(groups.get(title) ?? []), each]);
  }

  it.each([...groups])('match for %s', (_title, ours) => {
    for (const each of ours) {
      const schedule = new FlowSchedule(each.config, imageOf(each));
      const times = each.times === 'even' ? evenTimes(each.n, schedule.lastTime) : trailingTimes(each.n);
      const sigmas = schedule.sigmasOf(times);
      expectClose(sigmas, each.sigmas);
      for (const sigma of sigmas) expect(sigma).toBe(Math.fround(sigma));
      if (each.timesteps) {
        expectClose(
          sigmas.slice(0, -1).map((sigma) => schedule.sigmaToT(sigma)),
          each.timesteps,
          1e-3,
        );
      }
    }
  });

  it('are the same for a given mu as for the token count that it follows from', () => {
    const each = cases.find(({ mu }) => mu !== undefined)!;
    expect(linearMu(each.tokens!, { ...LINE })).toBeCloseTo(each.mu!, 12);
    const { sigmas } = new FlowSchedule(each.config, { mu: each.mu! });
    expect(sigmas).toEqual(new FlowSchedule(each.config, imageOf(each)).sigmas);
  });

  it('equal the schedules simple and discrete, which stop before any respacing', () => {
    for (const each of cases.filter((one) => !isSpaced(one))) {
      const schedule = new FlowSchedule(each.config, imageOf(each));
      const name = each.times === 'even' ? 'discrete' : 'simple';
      expectClose(scheduleSigmas(name, each.n, { schedule }), each.sigmas);
    }
  });

  it('begin at 1 for a single step, which leaves nothing to stretch', () => {
    const schedule = new FlowSchedule({ shift_terminal: 0.02 });
    expect(schedule.sigmasOf([1])).toEqual([1, 0]);
  });
});

describe('named schedules on a flow', () => {
  const schedule = new FlowSchedule({ shift: 3 });

  it.each(named)('$name of $n steps matches ComfyUI or k-diffusion', ({ name, n, sigmas }) => {
    expectClose(scheduleSigmas(name, n, { schedule }), sigmas);
  });

  it('beta matches diffusers between the ends of the table', () => {
    const sigmas = scheduleSigmas('beta', 5, { schedule });
    const reference = new FlowSchedule({ use_beta_sigmas: true }).sigmasOf(evenTimes(5, schedule.sigmaMin));
    expectClose(sigmas, reference);
  });

  it.each(scheduleNames.filter((name) => !['align_your_steps', 'kl_optimal'].includes(name)))(
    '%s descends strictly from at most 1 to 0, in f32',
    (name) => {
      for (const config of [
        {},
        { shift: 3 },
        { shift: 12 },
        { use_dynamic_shifting: true, shift_terminal: 0.02 },
      ]) {
        const flow = new FlowSchedule(config, { tokens: 1024 });
        for (const n of [1, 2, 5, 20, 77]) {
          const sigmas = scheduleSigmas(name, n, { schedule: flow });
          expect(sigmas[0]).toBeLessThanOrEqual(1);
          expect(sigmas.at(-1)).toBe(0);
          sigmas.forEach((sigma, i) => {
            expect(sigma).toBe(Math.fround(sigma));
            if (i > 0) expect(sigma).toBeLessThan(sigmas[i - 1]!);
          });
        }
      }
    },
  );

  it.each(['align_your_steps', 'kl_optimal'])('%s is rejected with the names of others', (name) => {
    expect(() => scheduleSigmas(name, 5, { schedule })).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTION',
        message: expect.stringMatching(/discrete, karras.*beta.*flow-matching model/),
      }),
    );
  });

  it('a range above 1 is rejected', () => {
    expect(() => scheduleSigmas('karras', 5, { schedule, sigmaMax: 14.6 })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining('sigmaMax') }),
    );
    expect(scheduleSigmas('karras', 5, { schedule, sigmaMax: 0.9 })[0]).toBeCloseTo(0.9, 6);
  });
});

describe('FlowSchedule', () => {
  it('applies static shifts as a t / (1 + (a - 1) t)', () => {
    const schedule = new FlowSchedule({ shift: 3 });
    expect(schedule.shift(0.5)).toBeCloseTo(0.75, 15);
    expect([schedule.shift(1), schedule.sigmaMax, schedule.alpha(schedule.sigmaMax)]).toEqual([1, 1, 0]);
    expect(schedule.sigmaMin).toBeCloseTo(0.003 / 1.002, 7);
  });

  it('maps sigmas to timesteps and back', () => {
    const schedule = new FlowSchedule({ num_train_timesteps: 500, shift: 2 });
    expect(schedule.sigmaToT(0.5)).toBe(250);
    expect(schedule.tToSigma(250)).toBe(0.5);
    expect(schedule.sigmas).toHaveLength(500);
  });

  it('shifts by the image size only if the model does', () => {
    const image = { tokens: 4096 };
    expect(new FlowSchedule({ use_dynamic_shifting: true }, image).shift(0.5)).toBeCloseTo(
      1 / (1 + Math.exp(-1.15)),
      12,
    );
    expect(new FlowSchedule({ shift: 3 }, image).shift(0.5)).toBeCloseTo(0.75, 15);
  });

  it.each(mus)("has the mu of diffusers' Flux.2 for %i tokens and %i steps", (tokens, steps, mu) => {
    expect(flux2Mu(tokens, steps)).toBeCloseTo(mu, 10);
  });

  it.each([
    [{ shift: 0 }, 'shift'],
    [{ shift: -3 }, 'shift'],
    [{ shift: Number.NaN }, 'shift'],
    [{ shift: 1e9 }, 'shift'],
    [{ num_train_timesteps: 1 }, 'num_train_timesteps'],
    [{ num_train_timesteps: 2 ** 40 }, 'num_train_timesteps'],
    [{ num_train_timesteps: 10.5 }, 'num_train_timesteps'],
    [{ shift_terminal: 1 }, 'shift_terminal'],
    [{ shift_terminal: -0.1 }, 'shift_terminal'],
    [{ use_dynamic_shifting: true, max_image_seq_len: 256 }, 'max_image_seq_len'],
    [{ use_dynamic_shifting: true, base_shift: 900, max_shift: 1000 }, 'max_shift'],
    [{ use_dynamic_shifting: true, time_shift_type: 'linear', base_shift: -1, max_shift: -1 }, 'max_shift'],
    [{ time_shift_type: 'cubic' as 'linear' }, 'time_shift_type'],
    [{ use_karras_sigmas: true, use_beta_sigmas: true }, 'use_karras_sigmas'],
    [{ invert_sigmas: true as false }, 'invert_sigmas'],
  ] satisfies [FlowConfig, string][])('rejects %j and names %s', (config, field) => {
    expect(() => new FlowSchedule(config, { tokens: 1024 })).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_MODEL', message: expect.stringContaining(`${field}: `) }),
    );
  });

  it('requires the image size for dynamic shifting', () => {
    const config = { use_dynamic_shifting: true };
    for (const image of [{}, { tokens: 0 }, { tokens: 1.5 }, { mu: Number.NaN }]) {
      expect(() => new FlowSchedule(config, image)).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION' }),
      );
    }
    expect(() => flux2Mu(1024, 0)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });

  it.each([[], [1.5, 0.5], [0.5, 1], [1, 0.5, 0.5], [1, 0], [Number.NaN]].map((times) => [times]))(
    'rejects the times %j',
    (times) => {
      expect(() => new FlowSchedule({}).sigmasOf(times)).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION' }),
      );
    },
  );
});

describe('a flow network', () => {
  it('receives x unscaled with the timestep, and its velocity leads to x0', async () => {
    const seen: unknown[] = [];
    const predict: Predict = async (scaled, t, sigma) => {
      seen.push([...scaled], t, sigma);
      return Float32Array.of(8, -4);
    };
    const x0 = await createDenoise(new FlowSchedule({}), 'flow', predict)(Float32Array.of(3, 1), 0.25);
    expect(seen).toEqual([[3, 1], 250, 0.25]);
    expect([...x0]).toEqual([1, 2]);
    expect(scalings('flow', 0.25)).toEqual({ cIn: 1, cOut: -0.25, cSkip: 1 });
  });
});

describe('the ratio of noise to image', () => {
  const schedule = new FlowSchedule({ shift: 3 });

  it('is sigma / (1 - sigma) on a flow and sigma otherwise', () => {
    expect(noiseRatio(schedule, 0.75)).toBe(3);
    expect(sigmaOfRatio(schedule, 3)).toBe(0.75);
    expect(noiseRatio(stableDiffusion(), 0.75)).toBe(0.75);
    expect(sigmaOfRatio(stableDiffusion(), 3)).toBe(3);
  });

  it('is finite from the shifted sigma of 0.999 on, which represents 1', () => {
    expect(withFiniteRatios(schedule, [1, 0.5, 0])).toEqual([schedule.shift(0.999), 0.5, 0]);
    expect(withFiniteRatios(schedule, [0.98, 0.5, 0])).toEqual([0.98, 0.5, 0]);
    expect(withFiniteRatios(stableDiffusion(), [14.6, 1, 0])).toEqual([14.6, 1, 0]);
    const [first = 0, second = 0] = withFiniteRatios(schedule, [1, 0.9999, 0]);
    expect(first).toBeGreaterThan(second);
    expect(first).toBeLessThan(1);
  });
});

const LINE = { base_shift: 0.5, max_shift: 1.15, base_image_seq_len: 256, max_image_seq_len: 4096 };
