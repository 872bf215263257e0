import { describe, expect, it } from 'vitest';
import {
  discardPenultimate,
  initialNoiseScale,
  resolveSampler,
  samplerNames,
  samplers,
} from '../../lib/sampling/samplers/index.js';
import { integratedBasis } from '../../lib/sampling/samplers/lms.js';
import { combine, eulerStep, slope } from '../../lib/sampling/vector.js';
import { stableDiffusion } from '../support/sampling/samplers.js';

describe('sampler names', () => {
  it.each([
    ['dpmpp_2m', 'dpmpp_2m', undefined],
    ['DPM++ 2M', 'dpmpp_2m', undefined],
    ['dpm++ 2m karras', 'dpmpp_2m', 'karras'],
    ['DPM++ 2M SDE Exponential', 'dpmpp_2m_sde', 'exponential'],
    ['DPM++ 2M SDE Heun Karras', 'dpmpp_2m_sde_heun', 'karras'],
    ['DPM++ 3M SDE', 'dpmpp_3m_sde', undefined],
    ['DPM++ 2S a Karras', 'dpmpp_2s_a', 'karras'],
    ['DPM++ SDE', 'dpmpp_sde', undefined],
    ['Euler a', 'euler_a', undefined],
    ['  EULER A ', 'euler_a', undefined],
    ['Euler SGM Uniform', 'euler', 'sgm_uniform'],
    ['Euler Normal', 'euler', 'discrete'],
    ['k_euler_a', 'euler_a', undefined],
    ['k_euler_ancestral', 'euler_a', undefined],
    ['euler_ancestral', 'euler_a', undefined],
    ['sample_dpm_2_ancestral', 'dpm2_a', undefined],
    ['k_dpm_2_a_ka', 'dpm2_a', 'karras'],
    ['DPM2 Karras', 'dpm2', 'karras'],
    ['LMS Karras', 'lms', 'karras'],
    ['k_dpm_ad', 'dpm_adaptive', undefined],
    ['DPM fast', 'dpm_fast', undefined],
    ['Heun', 'heun', undefined],
    ['Restart', 'restart', undefined],
    ['UniPC', 'unipc', undefined],
    ['DDIM', 'ddim', undefined],
    ['PLMS', 'plms', undefined],
    ['LCM', 'lcm', undefined],
    ['TCD', 'tcd', undefined],
  ])('resolve %s to %s', (written, name, schedule) => {
    const resolved = resolveSampler(written);
    expect([resolved.sampler.name, resolved.schedule]).toEqual([name, schedule]);
  });

  it.each(['', 'Karras', 'DDIM CFG++', 'DPM++ 4M', 'eulera a', 'k_', 'constructor', '__proto__'])(
    'reject %j with a list of all names',
    (written) => {
      expect(() => resolveSampler(written)).toThrow(
        expect.objectContaining({
          code: 'INVALID_OPTION',
          message: expect.stringMatching(/euler.*dpmpp_2m.*restart/),
        }),
      );
    },
  );

  it('resolve each name and label to its own sampler', () => {
    for (const sampler of samplers) {
      for (const name of [sampler.name, sampler.label, ...sampler.aliases]) {
        expect(resolveSampler(name)).toEqual({ sampler, schedule: undefined });
      }
    }
    expect(new Set(samplerNames).size).toBe(21);
  });
});

describe('sampler facts', () => {
  it('include the scale of initial noise: by sigma, or to the input scale of the network', () => {
    const [euler, ddim] = [resolveSampler('euler').sampler, resolveSampler('ddim').sampler];
    expect(initialNoiseScale(euler, 3)).toBe(3);
    expect(initialNoiseScale(ddim, 3)).toBeCloseTo(Math.sqrt(10), 12);
  });

  it('include which samplers choose their own timesteps, and how many they can have', () => {
    const owning = samplers.filter(({ ownsSchedule }) => ownsSchedule).map(({ name }) => name);
    expect(owning).toEqual(['ddim', 'ddpm', 'plms', 'lcm', 'tcd']);
    for (const [name, most] of [
      ['ddim', 1000],
      ['plms', 1000],
      ['lcm', 50],
      ['tcd', 50],
    ] as const) {
      const { ownSigmas } = resolveSampler(name).sampler;
      expect(ownSigmas!(stableDiffusion(), most)).toHaveLength(most + 1);
      for (const steps of [0, 1.5, most + 1, Number.NaN]) {
        expect(() => ownSigmas!(stableDiffusion(), steps)).toThrow(
          expect.objectContaining({ code: 'INVALID_OPTION' }),
        );
      }
    }
  });

  it('include descending sigmas for every number of steps', () => {
    for (const { ownSigmas } of samplers) {
      for (let steps = 1; ownSigmas !== undefined && steps <= 50; steps++) {
        const sigmas = ownSigmas(stableDiffusion(), steps);
        expect(sigmas.every((sigma, i) => i === 0 || sigma < sigmas[i - 1]!)).toBe(true);
      }
    }
  });

  it('include which samplers omit the penultimate sigma', () => {
    expect(discardPenultimate([4, 3, 2, 1, 0])).toEqual([4, 3, 2, 0]);
    expect(discardPenultimate([4, 0])).toEqual([4, 0]);
  });

  it('limit eta for TCD to 1, beyond which timesteps would be negative', async () => {
    const { sampler } = resolveSampler('tcd');
    const schedule = stableDiffusion();
    const run = sampler.create({ schedule, prediction: 'eps' });
    const noise = {
      size: 1,
      count: 1,
      next: () => new Float32Array(1),
      brownian: () => () => new Float32Array(1),
    };
    const generator = run(async (x) => x, new Float32Array(1), sampler.ownSigmas!(schedule, 4), noise, {
      eta: 1.1,
    });
    await expect(generator.next()).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});

describe('sampler arithmetic', () => {
  it('combines latents, ignores those with coefficient 0 and rounds once', () => {
    const [x, y, z, w] = [
      [1, 2],
      [10, 20],
      [100, 200],
      [1000, 2000],
    ].map((v) => Float32Array.from(v));
    expect([...combine([2, x!])]).toEqual([2, 4]);
    expect([...combine([2, x!], [-1, y!])]).toEqual([-8, -16]);
    expect([...combine([2, x!], [-1, y!], [0.5, z!])]).toEqual([42, 84]);
    expect([...combine([2, x!], [-1, y!], [0.5, z!], [1, w!])]).toEqual([1042, 2084]);
    expect([...combine([0, Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY)], [1, x!])]).toEqual([1, 2]);
    expect([...combine([0, x!])]).toEqual([0, 0]);
    // 1e8 + 1 - 1e8: an intermediate sum rounded to f32 would be 0
    const big = Float32Array.of(1e8);
    expect([...combine([1, big], [1, Float32Array.of(1)], [-1, big])]).toEqual([1]);
  });

  it('follows the slope in an Euler step', () => {
    const [x, denoised] = [Float32Array.of(5), Float32Array.of(1)];
    expect(slope(x, 2, denoised)[0]).toBe(2);
    expect(eulerStep(x, denoised, 2, 1)[0]).toBe(3);
    expect(eulerStep(x, denoised, 2, 0)[0]).toBe(1);
  });

  it('integrates the Lagrange polynomials of LMS exactly', () => {
    // through (3, 1), (2, 0), (1, 0): (t - 2)(t - 1) / 2, whose integral from 1 to 0 is -5/12
    expect(integratedBasis([3, 2, 1], 0, 1, 0)).toBeCloseTo(-5 / 12, 14);
    // they add up to 1 everywhere
    const sum = [0, 1, 2, 3].reduce((total, j) => total + integratedBasis([7, 4, 2, 1.5], j, 1.5, 0.2), 0);
    expect(sum).toBeCloseTo(-1.3, 13);
  });
});
