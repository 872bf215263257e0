/** Guarantees of a stream of steps: it can be changed, left early and aborted, and it always ends. */
import { describe, expect, it } from 'vitest';
import { type SamplerName, samplers } from '../../lib/sampling/samplers/index.js';
import { restartWalk } from '../../lib/sampling/samplers/restart.js';
import { scheduleSigmas } from '../../lib/sampling/schedules/index.js';
import type { Denoise, Latent, SamplerStep } from '../../lib/sampling/types.js';
import { combine } from '../../lib/sampling/vector.js';
import {
  centers,
  denoise,
  noiseLatent,
  relativeError,
  stableDiffusion,
  TableNoise,
} from '../support/sampling/samplers.js';

const schedule = stableDiffusion();
const each = samplers.map((sampler) => [sampler.name, sampler] as const);

function sigmasFor(name: SamplerName, steps: number): number[] {
  const sampler = samplers.find((info) => info.name === name)!;
  return sampler.ownSigmas?.(schedule, steps) ?? scheduleSigmas('karras', steps, { schedule });
}

function start(name: SamplerName, steps: number, model: Denoise = denoise) {
  const sampler = samplers.find((info) => info.name === name)!;
  const sigmas = sigmasFor(name, steps);
  const x = combine([sigmas[0]!, noiseLatent]);
  return sampler.create({ schedule, prediction: 'eps' })(model, x, sigmas, new TableNoise());
}

async function finish(
  generator: AsyncGenerator<SamplerStep, Latent>,
  onStep: (step: SamplerStep) => void = () => {},
): Promise<Latent> {
  for (;;) {
    const next = await generator.next();
    if (next.done) return next.value;
    onStep(next.value);
  }
}

describe.each(each)('%s', (name, sampler) => {
  it('continues from a latent that was changed between steps', async () => {
    const untouched = await finish(start(name, 8));
    const changed = await finish(start(name, 8), ({ step, latent }) => {
      if (step === 1) for (let i = 0; i < 48; i++) latent[i]! += 0.5 * latent[i]!;
    });
    expect(relativeError(changed.subarray(0, 48), untouched.subarray(0, 48))).toBeGreaterThan(1e-4);
    if (name === 'dpm_adaptive') return; // one error, and so one step size, for the batch
    expect(changed.subarray(48)).toEqual(untouched.subarray(48)); // the other image
  });

  it('yields steps that do not change afterwards, and leaves its input unchanged', async () => {
    const sigmas = sigmasFor(name, 6);
    const x = combine([sigmas[0]!, noiseLatent]);
    const before = x.slice();
    const steps: { step: SamplerStep; latent: Latent; denoised: Latent }[] = [];
    const generator = sampler.create({ schedule, prediction: 'v' })(denoise, x, sigmas, new TableNoise());
    const final = await finish(generator, (step) =>
      steps.push({ step, latent: step.latent.slice(), denoised: step.denoised.slice() }),
    );
    expect(x).toEqual(before);
    for (const { step, latent, denoised } of steps) {
      expect(step.latent).toEqual(latent);
      expect(step.denoised).toEqual(denoised);
    }
    expect(steps.at(-1)!.step.latent).toBe(final);
    expect(steps.map(({ step }) => step.step)).toEqual(steps.map((_, i) => i));
    expect(steps.at(-1)!.step.steps).toBe(steps.length);
    for (const { step } of steps) expect(step.steps).toBeGreaterThan(step.step);
  });

  it('can be left early, after which the model is not called again', async () => {
    let calls = 0;
    const generator = start(name, 6, async (x, sigma) => {
      calls++;
      return denoise(x, sigma);
    });
    await generator.next();
    const callsBefore = calls;
    expect(await generator.return(new Float32Array(1))).toEqual({ value: new Float32Array(1), done: true });
    expect(await generator.next()).toEqual({ value: undefined, done: true });
    expect(calls).toBe(callsBefore);
  });

  it('passes on an exception of the model', async () => {
    const failure = new Error('no model');
    const generator = start(name, 3, () => Promise.reject(failure));
    await expect(finish(generator)).rejects.toBe(failure);
  });

  it('completes with a single step', async () => {
    const steps: SamplerStep[] = [];
    const final = await finish(start(name, 1), (step) => steps.push(step));
    expect(steps).toHaveLength(1);
    expect(steps[0]).toMatchObject({ step: 0, steps: 1 });
    expect(final.every(Number.isFinite)).toBe(true);
    // one step from pure noise is the model's prediction, except for timestep 1 of DDIM and PLMS, which is
    // nearly clean
    if (sampler.ownSigmas === undefined) expect(relativeError(final, steps[0]!.denoised)).toBeLessThan(1e-6);
  });

  it('rejects NaN and infinities from the model', async () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const end = finish(start(name, 6, async (x) => new Float32Array(x.length).fill(value)));
      if (name === 'dpm_adaptive') await expect(end).rejects.toMatchObject({ code: 'NOT_FINITE' });
      else expect((await end).some(Number.isFinite)).toBe(false);
    }
  });

  it('stays finite from the huge first sigma of a zero-SNR model', async () => {
    const zero = stableDiffusion(true);
    const sigmas = sampler.ownSigmas?.(zero, 5) ?? scheduleSigmas('discrete', 5, { schedule: zero });
    const x = combine([sigmas[0]!, noiseLatent]);
    const run = sampler.create({ schedule: zero, prediction: 'v' })(denoise, x, sigmas, new TableNoise());
    const final = await finish(run);
    expect(Math.max(...final.map(Math.abs))).toBeLessThan(100);
  });

  it('returns bit-identical results in a batch and alone', async () => {
    if (name === 'dpm_adaptive') return; // as in the reference, its error is the batch's
    const half = (values: Latent) => values.slice(0, 48);
    const noise = new TableNoise();
    const alone = {
      size: 48,
      count: 1,
      next: () => half(noise.next()),
      brownian: () => () => half(noise.next()),
    };
    const sigmas = sigmasFor(name, 7);
    const x = half(combine([sigmas[0]!, noiseLatent]));
    const run = sampler.create({ schedule, prediction: 'eps' });
    const final = await finish(run(denoise, x, sigmas, alone));
    expect(final).toEqual(half(await finish(start(name, 7))));
  });
});

describe('multistep samplers', () => {
  // the last step, to sigma 0, is of first order
  it.each(['lms', 'dpmpp_2m', 'dpmpp_2m_sde', 'dpmpp_3m_sde', 'unipc', 'plms'] as const)(
    '%s uses the changed prediction in later steps',
    async (name) => {
      const untouched = await finish(start(name, 8));
      const changed = await finish(start(name, 8), ({ step, denoised }) => {
        if (step === 4) denoised.set(centers.map((value) => value + 1));
      });
      expect(relativeError(changed, untouched)).toBeGreaterThan(1e-4);
    },
  );
});

describe('restart', () => {
  it('repeats the steps between sigma 2 and 0.1 with new noise, and takes the requested number of steps in total', () => {
    const walk = restartWalk(scheduleSigmas('karras', 24, { schedule }));
    expect(walk).toHaveLength(24);
    const jumps = walk.filter(({ sigma }, i) => i > 0 && sigma > walk[i - 1]!.sigmaNext);
    expect(jumps).toHaveLength(1);
    expect(jumps[0]!.sigma).toBeCloseTo(2, 0);
    expect(restartWalk(scheduleSigmas('karras', 40, { schedule }))).toHaveLength(40);
  });
});
