/**
 * Samplers on a flow-matching model, against k-diffusion, diffusers and ComfyUI's formulas (listed in
 * test/reference/flow.py).
 */
import { describe, expect, it } from 'vitest';
import { addNoise } from '../../lib/sampling/noise-schedule.js';
import { checkSampler, initialNoiseScale, samplers } from '../../lib/sampling/samplers/index.js';
import { scheduleSigmas } from '../../lib/sampling/schedules/index.js';
import type { SamplerOptions, SamplerStep } from '../../lib/sampling/types.js';
import { combine } from '../../lib/sampling/vector.js';
import {
  expectedFlowLatent,
  type FlowCase,
  flowCases,
  runFlow,
  schedule,
  velocity,
} from '../support/sampling/flow.js';
import {
  centers,
  noiseLatent,
  relativeError,
  SIZE,
  stableDiffusion,
  TableNoise,
} from '../support/sampling/samplers.js';

/** Against references in f64; the difference is the rounding of our latents to f32. */
const TOLERANCE = 2e-6;
/** diffusers' FlowMatchLCMScheduler computes in f32. */
const TOLERANCE_F32 = 4e-6;

const REFERENCES: Readonly<Record<string, string>> = {
  euler: 'k-diffusion sample_euler',
  heun: 'k-diffusion sample_heun',
  dpm2: 'k-diffusion sample_dpm_2',
  lms: 'k-diffusion sample_lms',
  dpmpp_2m: 'k-diffusion sample_dpmpp_2m, lambda = -log(sigma)',
  euler_a: 'ComfyUI sample_euler_ancestral_RF',
  dpm2_a: 'ComfyUI sample_dpm_2_ancestral_RF',
  dpmpp_2s_a: 'ComfyUI sample_dpmpp_2s_ancestral_RF',
  dpmpp_sde: 'k-diffusion sample_dpmpp_sde on x / alpha, as ComfyUI',
  dpmpp_2m_sde: 'k-diffusion sample_dpmpp_2m_sde on x / alpha, as ComfyUI',
  dpmpp_2m_sde_heun: 'k-diffusion sample_dpmpp_2m_sde (heun) on x / alpha, as ComfyUI',
  dpmpp_3m_sde: 'k-diffusion sample_dpmpp_3m_sde on x / alpha, as ComfyUI',
  unipc: 'diffusers UniPCMultistepScheduler, use_flow_sigmas',
  lcm: 'diffusers FlowMatchLCMScheduler',
};

const described = flowCases.map((given, index) => ({ given, index, title: titleOf(given) }));
const runnable = samplers.filter(({ flow }) => flow !== 'none').map(({ name }) => name);
const refused = samplers.filter(({ flow }) => flow === 'none').map(({ name }) => name);

describe.each(runnable)('%s on a flow', (name) => {
  it.each(described.filter(({ given }) => given.sampler === name))(
    `matches ${REFERENCES[name]}: $title`,
    async ({ given, index }) => {
      const [sigma = 1] = given.sigmas;
      const x =
        given.start === undefined
          ? combine([sigma, noiseLatent])
          : addNoise(schedule, centers, noiseLatent, sigma);
      const noise = new TableNoise();
      const { steps, final } = await runFlow(name, x, given.sigmas, noise, given.options);
      expect(relativeError(final, expectedFlowLatent(index))).toBeLessThan(
        name === 'lcm' ? TOLERANCE_F32 : TOLERANCE,
      );
      // noise that the reference multiplies by 0 need not be sampled
      expect([0, given.draws]).toContain(noise.draws);
      expect(steps).toHaveLength(given.sigmas.length - 1);
      expect(steps.at(-1)!.latent).toBe(final);
    },
  );

  it('makes one step, which ends at the prediction', async () => {
    const { steps, final } = await runFlow(name, noiseLatent, [1, 0], new TableNoise());
    expect(steps).toHaveLength(1);
    expect(relativeError(final, steps[0]!.denoised)).toBeLessThan(1e-6);
  });

  it('continues from a latent that was changed between steps, and leaves its input unchanged', async () => {
    const sigmas = scheduleSigmas('simple', 6, { schedule });
    const before = noiseLatent.slice();
    const change = ({ step, latent }: SamplerStep) => {
      if (step === 1) for (let i = 0; i < SIZE; i++) latent[i] = 1.5 * latent[i]!;
    };
    const untouched = await runFlow(name, noiseLatent, sigmas, new TableNoise());
    const changed = await runFlow(name, noiseLatent, sigmas, new TableNoise(), {}, change);
    const difference = (from: number, to?: number) =>
      relativeError(changed.final.subarray(from, to), untouched.final.subarray(from, to));
    expect(difference(0, SIZE)).toBeGreaterThan(1e-4);
    expect(difference(SIZE)).toBe(0); // the other image
    expect(noiseLatent).toEqual(before);
  });

  it('stays finite for every accepted eta', async () => {
    const sigmas = scheduleSigmas('simple', 6, { schedule });
    for (const eta of [0, 0.3, 1, 2, 10]) {
      const { final } = await runFlow(name, noiseLatent, sigmas, new TableNoise(), { eta });
      expect(final.every(Number.isFinite)).toBe(true);
    }
  });

  it('rejects sigmas above 1', async () => {
    await expect(runFlow(name, noiseLatent, [14.6, 1, 0], new TableNoise())).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(/numbers between 0 and 1 .*14\.6/),
    });
  });
});

describe('flow forms', () => {
  it('are tested for every sampler that has one', () => {
    expect(new Set(flowCases.map(({ sampler }) => sampler))).toEqual(new Set(runnable));
    expect(Object.keys(REFERENCES).sort()).toEqual([...runnable].sort());
  });

  it.each(refused)('reject %s and name the samplers that work', async (name) => {
    const expected = {
      code: 'INVALID_OPTION',
      message: expect.stringMatching(
        /one of euler, .*dpmpp_2m, .*unipc, lcm for sampler of a flow-matching model/,
      ),
    };
    await expect(runFlow(name, noiseLatent, [1, 0.5, 0], new TableNoise())).rejects.toMatchObject(expected);
    const sampler = samplers.find((each) => each.name === name)!;
    expect(() => checkSampler(sampler, schedule)).toThrow(expect.objectContaining(expected));
    expect(() => checkSampler(sampler, stableDiffusion())).not.toThrow();
  });

  it.each(['euler', 'heun', 'dpm2'] as const)('reject churn for %s', async (name) => {
    const options: SamplerOptions = { sChurn: 2 };
    await expect(runFlow(name, noiseLatent, [1, 0.5, 0], new TableNoise(), options)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('sChurn'),
    });
  });

  it.each(['ddim', 'lcm'] as const)('have no discrete timesteps that %s could choose', (name) => {
    const { ownSigmas } = samplers.find((each) => each.name === name)!;
    expect(() => ownSigmas!(schedule, 4)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });
});

describe('euler on a flow', () => {
  it('changes x by (next sigma - sigma) times the velocity', async () => {
    const { steps } = await runFlow('euler', noiseLatent, [1, 0.6, 0.25, 0], new TableNoise());
    let x = noiseLatent;
    for (const { sigma, sigmaNext, latent } of steps) {
      x = combine([1, x], [sigmaNext - sigma, velocity(x, sigma)]);
      expect(relativeError(latent, x)).toBeLessThan(1e-6);
    }
  });
});

describe('ancestral samplers on a flow', () => {
  /**
   * Steps with an exact prediction keep alpha * x0 + sigma * noise, so that the noise's standard deviation is
   * the next sigma.
   */
  it.each(['euler_a', 'dpm2_a', 'dpmpp_2s_a', 'lcm'] as const)(
    '%s reaches the variance of the next sigma',
    async (name) => {
      const unit = {
        size: 1,
        count: 1,
        next: () => Float32Array.of(1),
        brownian: () => () => Float32Array.of(1),
      };
      const sampler = samplers.find((each) => each.name === name)!;
      const [from, to] = [0.8, 0.5];
      // x0 and the old noise are 0: the new noise alone; then the old noise alone
      const alone = async (x: number, sNoise: number) => {
        const run = sampler.create({ schedule, prediction: 'flow' });
        const steps = run(async (value) => value.map(() => 0), Float32Array.of(x), [from, to], unit, {
          sNoise,
        });
        const { done, value } = await steps.next();
        return done ? Number.NaN : value.latent[0]!;
      };
      const [old, fresh] = [await alone(from, 0), await alone(0, 1)];
      expect(Math.hypot(old, fresh)).toBeCloseTo(to, 6);
    },
  );
});

describe('the initial noise of a flow', () => {
  it('is scaled by sigma for every sampler, and x contains 1 - sigma of the image', () => {
    for (const sampler of samplers) expect(initialNoiseScale(sampler, 0.75, schedule)).toBe(0.75);
    const x = addNoise(schedule, Float32Array.of(2), Float32Array.of(4), 0.75);
    expect([...x]).toEqual([3.5]);
    expect([...addNoise(schedule, Float32Array.of(2), Float32Array.of(4), 0.75, 0.5)]).toEqual([2]);
  });

  it('remains x0 + sigma * noise for alpha = 1', () => {
    const x = addNoise(stableDiffusion(), Float32Array.of(2), Float32Array.of(4), 0.75);
    expect([...x]).toEqual([5]);
  });
});

function titleOf({ sigmas, schedule: name, start, options }: FlowCase): string {
  const parts = [name, `${sigmas.length - 1} steps`, start !== undefined && `from step ${start}`];
  return [...parts, options && JSON.stringify(options)].filter(Boolean).join(', ');
}
