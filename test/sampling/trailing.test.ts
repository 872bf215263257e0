import { describe, expect, it } from 'vitest';
import { resolveSampler } from '../../lib/sampling/samplers/index.js';
import { scheduleNames, scheduleSigmas } from '../../lib/sampling/schedules/index.js';
import type { SamplerStep } from '../../lib/sampling/types.js';
import { combine } from '../../lib/sampling/vector.js';
import { schedule as flow } from '../support/sampling/flow.js';
import {
  centers,
  noiseLatent,
  relativeError,
  run,
  stableDiffusion,
  TableNoise,
} from '../support/sampling/samplers.js';

const schedule = stableDiffusion();

describe('the schedule trailing', () => {
  it.each([
    [1, [999]],
    [2, [999, 499]],
    [4, [999, 749, 499, 249]],
    // 1000 - 62.5 i is rounded half to even, as by NumPy.
    [16, [999, 937, 874, 811, 749, 687, 624, 561, 499, 437, 374, 311, 249, 187, 124, 61]],
  ])('of %i steps has every nth timestep from the last, then sigma 0', (steps, timesteps) => {
    const sigmas = [...timesteps.map((t) => schedule.sigmas[t]), 0];
    expect(scheduleSigmas('trailing', steps, { schedule })).toEqual(sigmas);
  });

  it('has evenly spaced times for flow matching, as the schedule simple', () => {
    const sigmas = scheduleSigmas('trailing', 7, { schedule: flow });
    expect(sigmas).toEqual(scheduleSigmas('simple', 7, { schedule: flow }));
    expect(sigmas[0]).toBe(1);
  });
});

describe('tcd on a schedule', () => {
  const { sampler } = resolveSampler('tcd');
  const x = (sigmas: readonly number[]) => combine([1, centers], [sigmas[0]!, noiseLatent]);

  it.each(scheduleNames)(
    'of noise levels between its timesteps is finite for every eta: %s',
    async (name) => {
      const sigmas = scheduleSigmas(name, 7, { schedule });
      for (const eta of [0, 1e-4, 1e-3, 0.3, 1]) {
        const { final } = await run('tcd', x(sigmas), sigmas, new TableNoise(), { options: { eta } });
        expect(final.every(Number.isFinite), `eta ${eta}`).toBe(true);
      }
    },
  );

  it('takes the steps of euler without eta', async () => {
    const sigmas = scheduleSigmas('karras', 7, { schedule });
    const options = { options: { eta: 0 } };
    const latents = async (name: string): Promise<readonly SamplerStep[]> =>
      (await run(name, x(sigmas), sigmas, new TableNoise(), options)).steps;
    const [tcd, euler] = [await latents('tcd'), await latents('euler')];
    expect(sampler.ownsSchedule).toBe(true);
    tcd.slice(0, -1).forEach(({ latent }, i) => {
      expect(relativeError(latent, euler[i]!.latent)).toBeLessThan(1e-5);
    });
  });
});
