import { describe, expect, it } from 'vitest';
import { createNoise } from '../../lib/sampling/noise.js';
import { initialNoiseScale, resolveSampler } from '../../lib/sampling/samplers/index.js';
import { combine } from '../../lib/sampling/vector.js';
import {
  type Case,
  cases,
  centers,
  expectedLatents,
  noiseLatent,
  relativeError,
  run,
  SIZE,
  stableDiffusion,
  TableNoise,
} from '../support/sampling/samplers.js';

/** Against references in f64; the difference is the rounding of our latents to f32. */
const TOLERANCE = 1e-6;
/** Against references in f32, which round every operation. */
const TOLERANCE_F32 = 4e-6;
/**
 * DPM fast extrapolates over steps in which sigma decreases by a factor of a hundred. DPM adaptive chooses
 * its steps by an error of 1e-7, to which latents themselves are rounded: k-diffusion's result in f32 differs
 * by 1.6e-4 from its own in f64.
 */
const LOOSER: Readonly<Record<string, number>> = { dpm_fast: 2e-6, dpm_adaptive: 4e-4 };

const described = cases.map((given, index) => ({ given, index, title: titleOf(given) }));

describe.each([...new Set(cases.map(({ sampler }) => sampler))])('%s', (name) => {
  it.each(described.filter(({ given }) => given.sampler === name && given.seeds === undefined))(
    'matches its reference: $title',
    async ({ given, index }) => {
      const { sampler } = resolveSampler(name);
      const sigmas = given.sigmas.slice(given.start ?? 0);
      // as pipelines begin: scaled noise, or an image (here the centers) with noise
      const x =
        given.start === undefined
          ? combine([initialNoiseScale(sampler, sigmas[0]!), noiseLatent])
          : combine([1, centers], [sigmas[0]!, noiseLatent]);
      const noise = new TableNoise();
      const { steps, final } = await run(name, x, sigmas, noise, given);

      const expected = expectedLatents(index);
      const actual = given.all ? steps.map(({ latent }) => latent) : [final];
      expect(actual).toHaveLength(expected.length);
      const errors = actual.map((latent, i) => relativeError(latent, expected[i]!));
      const tolerance = given.dtype === 'f32' ? TOLERANCE_F32 : TOLERANCE;
      expect(Math.max(...errors)).toBeLessThan(Math.max(tolerance, LOOSER[name] ?? 0));

      // noise that the reference multiplies by 0 need not be sampled
      expect([0, given.draws]).toContain(noise.draws);
      expect(steps).toHaveLength(given.steps ?? stepsOf(name, sigmas.length - 1));
      expect(steps.at(-1)!.latent).toBe(final);
    },
  );
});

describe('samplers that choose their timesteps', () => {
  it.each(described.filter(({ given }) => given.n !== undefined))(
    '$given.sampler has the sigmas of its reference: $title',
    ({ given }) => {
      const { sampler } = resolveSampler(given.sampler);
      expect(sampler.ownsSchedule).toBe(true);
      const sigmas = sampler.ownSigmas!(stableDiffusion(given.zeroSnr), given.n!);
      expect(sigmas).toEqual(given.sigmas);
    },
  );
});

describe('SDE samplers', () => {
  it.each(described.filter(({ given }) => given.times !== undefined))(
    '$given.sampler queries the Brownian tree at the f32 sigmas of its reference: $title',
    async ({ given }) => {
      const noise = new TableNoise();
      await run(given.sampler, combine([given.sigmas[0]!, noiseLatent]), given.sigmas, noise, given);
      const [asked, expected] = [noise.times.flat(), given.times!.flat()];
      expect(asked).toHaveLength(expected.length);
      const differing = asked.filter((sigma, i) => {
        expect(Math.abs(sigma / expected[i]! - 1)).toBeLessThan(1.2e-7); // one unit in the last place
        return sigma !== expected[i];
      });
      // torch's f32 log and exp, which dpmpp_sde uses, are not always rounded correctly
      expect(differing.length).toBeLessThan(given.sampler === 'dpmpp_sde' ? expected.length / 10 : 1);
      expect(noise.ranges).toEqual([[given.sigmas.at(-2), given.sigmas[0]]]);
    },
  );
});

describe('samplers with seeds instead of the noise table', () => {
  it.each(described.filter(({ given }) => given.seeds !== undefined))(
    '$given.sampler matches k-diffusion with torch and torchsde: $title',
    async ({ given, index }) => {
      const noise = createNoise({ seeds: given.seeds!, size: SIZE });
      noise.next(); // the initial noise of an image; the latent here is the fixture's
      const x = combine([given.sigmas[0]!, noiseLatent]);
      const { final } = await run(given.sampler, x, given.sigmas, noise, given);
      expect(relativeError(final, expectedLatents(index)[0]!)).toBeLessThan(TOLERANCE_F32);
    },
  );
});

function titleOf({ sigmas, schedule, n, start, prediction, zeroSnr, options, dtype }: Case): string {
  const parts = [schedule, `${n ?? sigmas.length - 1} steps`, prediction, dtype, zeroSnr && 'zero SNR'];
  if (start !== undefined) parts.push(`from step ${start}`);
  if (options !== undefined) parts.push(JSON.stringify(options));
  return parts.filter(Boolean).join(', ');
}

/**
 * Returns the number of steps: DPM fast spends n model calls on steps of third order and one or two of lower
 * order.
 */
function stepsOf(sampler: string, n: number): number {
  return sampler === 'dpm_fast' ? Math.floor(n / 3) + 1 : n;
}
