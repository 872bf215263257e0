/** Schedules of samplers that have their own timesteps: when they apply, and how they are recorded and restored. */
import { describe, expect, it } from 'vitest';
import type { GenerationDefaults } from '../../lib/checkpoint/config/types.js';
import type { ModelFacts } from '../../lib/families/shared/loaded-model.js';
import { restoreOptions } from '../../lib/options/infotext/restore.js';
import { resolveSamplingOptions } from '../../lib/options/settings/sampling.js';
import { fullSigmas } from '../../lib/pipelines/diffusion/denoising/sigmas.js';
import { parametersOf } from '../../lib/pipelines/metadata.js';
import { type GenerateOptions, resolveOptions, type Settings } from '../../lib/pipelines/options.js';
import { resolveSampler, samplers } from '../../lib/sampling/samplers/index.js';
import { scheduleSigmas } from '../../lib/sampling/schedules/index.js';
import { scheduleNamed } from '../../lib/server/a1111/samplers.js';
import { stableDiffusion } from '../support/sampling/samplers.js';

const own = samplers.filter(({ ownsSchedule }) => ownsSchedule).map(({ name }) => name);
const schedule = stableDiffusion();
const model = { noiseSchedule: () => schedule, alignYourSteps: undefined, shape: [1, 4, 8, 8] } as const;

function sigmasOf(options: object, defaults: GenerationDefaults = {}): readonly number[] {
  return fullSigmas(resolveSamplingOptions({ steps: 4, ...options }, defaults), model).sigmas;
}

describe.each(own)('%s', (sampler) => {
  const timesteps = resolveSampler(sampler).sampler.ownSigmas!(schedule, 4);
  const trailing = scheduleSigmas('trailing', 4, { schedule });

  it('runs on its own timesteps without a schedule, and with "Automatic"', () => {
    expect(sigmasOf({ sampler })).toEqual(timesteps);
    expect(sigmasOf({ sampler, schedule: 'automatic' })).toEqual(timesteps);
    expect(sigmasOf({ sampler, schedule: 'Automatic' })).toEqual(timesteps);
  });

  it('runs on a schedule that is requested', () => {
    expect(sigmasOf({ sampler, schedule: 'trailing' })).toEqual(trailing);
    expect(sigmasOf({ sampler, schedule: 'Turbo' })).toEqual(trailing);
    expect(sigmasOf({ sampler: `${resolveSampler(sampler).sampler.label} Karras` })).toEqual(
      scheduleSigmas('karras', 4, { schedule }),
    );
  });

  it("runs on the model's schedule only as the model's sampler", () => {
    expect(sigmasOf({}, { sampler, schedule: 'trailing' })).toEqual(trailing);
    expect(sigmasOf({ sampler }, { sampler, schedule: 'trailing' })).toEqual(timesteps);
    expect(sigmasOf({ sampler }, { schedule: 'karras' })).toEqual(timesteps);
    expect(sigmasOf({ schedule: 'automatic' }, { sampler, schedule: 'trailing' })).toEqual(timesteps);
  });
});

it("a sampler without own timesteps runs on the model's schedule, whoever names it", () => {
  const trailing = scheduleSigmas('trailing', 4, { schedule });
  expect(sigmasOf({ sampler: 'euler' }, { sampler: 'ddim', schedule: 'trailing' })).toEqual(trailing);
  expect(sigmasOf({}, { sampler: 'euler', schedule: 'trailing' })).toEqual(trailing);
});

describe('generation parameters', () => {
  const resolve = (options: object): Settings =>
    resolveOptions({ prompt: 'a cat', seed: 1, ...options } as GenerateOptions, {}, 8, { kind: 'text' });
  const textOf = (settings: Settings): string =>
    parametersOf(
      { name: 'model' } as ModelFacts,
      settings,
      { width: 64, height: 64 },
      { seed: 1, subseed: 0 },
    );
  const levels = ({ sampler, schedule: name, ownTimesteps }: Settings['sampling']) =>
    [sampler.name, ownTimesteps ? 'own' : name].join();

  it('contain the schedule only if it was used', () => {
    expect(textOf(resolve({ sampler: 'lcm' }))).not.toContain('Schedule type');
    expect(textOf(resolve({ sampler: 'lcm', schedule: 'automatic' }))).not.toContain('Schedule type');
    expect(textOf(resolve({ sampler: 'lcm', schedule: 'trailing' }))).toContain('Schedule type: Turbo');
    expect(textOf(resolve({ sampler: 'euler', schedule: 'trailing' }))).toContain('Schedule type: Turbo');
  });

  const first = [{}, { schedule: 'trailing' }, { schedule: 'karras' }];
  const second = [{}, { schedule: 'karras' }, { schedule: 'automatic' }];
  const combinations = ['lcm', 'euler'].flatMap((a) =>
    first.flatMap((given) =>
      [undefined, 'lcm', 'ddim', 'euler'].flatMap((b) =>
        second.map((more) => ({
          ...{ sampler: a, ...given },
          hires: { scale: 2, ...(b ? { sampler: b } : {}), ...more },
        })),
      ),
    ),
  );

  it.each(combinations)('restore the noise levels of both passes: %j', (options) => {
    const settings = resolve(options);
    const again = resolve(restoreOptions(textOf(settings)).options);
    expect(levels(again.sampling)).toBe(levels(settings.sampling));
    expect(levels(again.hires!.sampling)).toBe(levels(settings.hires!.sampling));
  });

  it.each([
    ['DDIM', 'Karras', 'ddim,own'],
    ['PLMS', 'Automatic', 'plms,own'],
    ['LCM', 'Automatic', 'lcm,own'],
    ['LCM', 'SGM Uniform', 'lcm,sgm_uniform'],
    ['Euler', 'Turbo', 'euler,trailing'],
  ])('of A1111 have its noise levels: %s, %s', (sampler, name, expected) => {
    const text = `a cat\nSteps: 8, Sampler: ${sampler}, Schedule type: ${name}, CFG scale: 2, Seed: 1, Size: 64x64, Hires upscale: 2, Hires sampler: ${sampler}, Hires schedule type: ${name}, Version: v1.10.1`;
    const { sampling, hires } = resolve(restoreOptions(text).options);
    expect([levels(sampling), levels(hires!.sampling)]).toEqual([expected, expected]);
  });

  it("give a request of A1111's API the sampler's timesteps for Automatic", () => {
    const named = (sampler: string, name: string) =>
      scheduleNamed('scheduler', name, resolveSampler(sampler).sampler);
    expect(named('lcm', 'Automatic')).toBe('automatic');
    expect(named('lcm', 'Karras')).toBe('karras');
    expect(named('ddim', 'Karras')).toBe('automatic');
    expect(named('euler', 'Automatic')).toBe('discrete');
  });
});
