import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { SchedulerConfig } from '../../lib/checkpoint/config/types.js';
import { createDenoise, type Predict } from '../../lib/sampling/denoiser.js';
import { DiscreteSchedule } from '../../lib/sampling/discrete-schedule.js';
import { scalings } from '../../lib/sampling/prediction.js';

interface Case {
  name: string;
  config: SchedulerConfig;
  stride: number;
  alphas: number[];
  sigmas: number[];
  lastAlpha: number;
  sigmaMin: number;
  sigmaMax: number;
  sigmaToT: [number, number][];
  sigmaToNearestT: [number, number][];
  tToSigma: [number, number][];
  denoised: { prediction: SchedulerConfig['prediction']; sigma: number; x: number[]; x0: number[] }[];
}
const cases: Case[] = JSON.parse(
  readFileSync(new URL('../fixtures/sampling/denoiser.json', import.meta.url), 'utf8'),
);

const sd: SchedulerConfig = {
  prediction: 'eps',
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  beta_end: 0.012,
  num_train_timesteps: 1000,
  rescale_zero_snr: false,
};

function expectClose(actual: number, expected: number, what = ''): void {
  expect(Math.abs(actual - expected), `${what}: ${actual} for ${expected}`).toBeLessThanOrEqual(
    1e-6 * Math.abs(expected),
  );
}

/** The network of the reference: 0.7 x + 0.3 cos(t / 100). */
const network: Predict = async (x, t) => x.map((value) => 0.7 * value + 0.3 * Math.cos(t * 0.01));

describe.each(cases)('the discrete schedule of $name against k-diffusion', (each) => {
  const schedule = DiscreteSchedule.fromConfig(each.config);

  it('matches in alphas and sigmas', () => {
    expect(schedule.length).toBe(each.config.num_train_timesteps);
    expect(each.alphas.length).toBe(Math.ceil(schedule.length / each.stride));
    each.alphas.forEach((alpha, i) => {
      expectClose(schedule.alphasCumprod[i * each.stride]!, alpha, `alpha ${i}`);
    });
    each.sigmas.forEach((sigma, i) => {
      expectClose(schedule.sigmas[i * each.stride]!, sigma, `sigma ${i}`);
    });
    expectClose(schedule.alphasCumprod[schedule.length - 1]!, each.lastAlpha);
    expectClose(schedule.sigmaMin, each.sigmaMin);
    expectClose(schedule.sigmaMax, each.sigmaMax);
  });

  it('matches from sigma to fractional timestep', () => {
    for (const [sigma, t] of each.sigmaToT) expectClose(schedule.sigmaToT(sigma), t, `sigma ${sigma}`);
  });

  it('matches from sigma to the nearest timestep', () => {
    for (const [sigma, t] of each.sigmaToNearestT) expect(schedule.sigmaToNearestT(sigma)).toBe(t);
  });

  it('matches from fractional timestep to sigma', () => {
    for (const [t, sigma] of each.tToSigma) expectClose(schedule.tToSigma(t), sigma, `timestep ${t}`);
  });

  it('matches in the denoised latent of a network that predicts noise, v or x0', async () => {
    for (const { prediction, sigma, x, x0 } of each.denoised) {
      const denoised = await createDenoise(schedule, prediction, network)(Float32Array.from(x), sigma);
      // x0 is a difference of terms as large as x, and f32 in the reference
      const scale = Math.max(...x0.map(Math.abs), ...x.map(Math.abs));
      x0.forEach((expected, i) => {
        expect(Math.abs(denoised[i]! - expected), `${prediction} at ${sigma}`).toBeLessThanOrEqual(
          1e-6 * scale,
        );
      });
    }
  });
});

describe('a discrete schedule', () => {
  const schedule = DiscreteSchedule.fromConfig(sd);

  it('keeps sigma finite for zero terminal SNR', () => {
    const zero = DiscreteSchedule.fromConfig({ ...sd, rescale_zero_snr: true });
    expect(zero.alphasCumprod[999]).toBe(Math.fround(4.8973451890853435e-8));
    expect(zero.sigmaMax).toBeCloseTo(4518.7, 0);
    expectClose(zero.sigmaMin, schedule.sigmaMin);
  });

  it('maps each trained timestep to its sigma and back', () => {
    for (let t = 0; t < 1000; t++) {
      expect(schedule.tToSigma(t)).toBeCloseTo(schedule.sigmas[t]!, 5);
      expect(schedule.sigmaToT(schedule.sigmas[t]!)).toBe(t);
      expect(schedule.sigmaToNearestT(schedule.sigmas[t]!)).toBe(t);
    }
  });

  it('clamps to its range', () => {
    expect([0, 1e-9, 1e9, Number.POSITIVE_INFINITY].map((sigma) => schedule.sigmaToT(sigma))).toEqual([
      0, 0, 999, 999,
    ]);
    expect([0, 1e-9, 1e9].map((sigma) => schedule.sigmaToNearestT(sigma))).toEqual([0, 0, 999]);
    expect(schedule.tToSigma(-1)).toBe(schedule.tToSigma(0));
    expect(schedule.tToSigma(1e6)).toBe(schedule.tToSigma(999));
  });

  it.each([
    { num_train_timesteps: 1 },
    { num_train_timesteps: 10.5 },
    { num_train_timesteps: 2 ** 32 },
    { beta_start: 0, beta_end: 0 },
    { beta_start: -0.1 },
    { beta_end: 1.5 },
    { beta_end: Number.NaN },
    { beta_schedule: 'sigmoid' as 'linear' },
  ])('rejects %j', (change) => {
    expect(() => DiscreteSchedule.fromConfig({ ...sd, ...change })).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_MODEL' }),
    );
  });
});

describe('a denoiser', () => {
  const schedule = DiscreteSchedule.fromConfig(sd);
  const x = Float32Array.of(1, -2, 3);

  it('passes the timestep and sigma to the network, and scales its input', async () => {
    const seen: unknown[] = [];
    await createDenoise(schedule, 'eps', async (scaled, t, sigma) => {
      seen.push([...scaled], t, sigma);
      return scaled;
    })(x, 2);
    const cIn = 1 / Math.sqrt(5);
    expect(seen).toEqual([[...x.map((value) => value * cIn)], schedule.sigmaToT(2), 2]);
  });

  it('leaves the latent and the prediction unchanged', async () => {
    const predicted = Float32Array.of(4, 5, 6);
    await createDenoise(schedule, 'v', async () => predicted)(x, 2);
    expect([...x, ...predicted]).toEqual([1, -2, 3, 4, 5, 6]);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('rejects a prediction of %s', async (bad) => {
    const denoise = createDenoise(schedule, 'eps', async () => Float32Array.of(1, bad, 1));
    await expect(denoise(x, 2)).rejects.toMatchObject({ code: 'NOT_FINITE' });
  });

  it('rejects a latent that is not finite', async () => {
    const denoise = createDenoise(schedule, 'x0', async (scaled) => scaled);
    await expect(denoise(Float32Array.of(Number.NaN), 2)).rejects.toMatchObject({ code: 'NOT_FINITE' });
  });

  it('rejects a prediction of another size', async () => {
    const denoise = createDenoise(schedule, 'eps', async () => new Float32Array(2));
    await expect(denoise(x, 2)).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
  });

  it('rejects an unknown prediction type', () => {
    expect(() => scalings('score' as 'eps', 1)).toThrow(/one of eps, v, x0/);
  });
});
