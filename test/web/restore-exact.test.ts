/** Exact options on the web page: in the form, and in addition to it if the form has no control. */
import { describe, expect, it } from 'vitest';
import { encodePng } from '../../lib/image/png.js';
import type { GenerationOptions } from '../../lib/options/declarations/generation.js';
import { seedFields } from '../../lib/options/declarations/noise.js';
import { samplingFields } from '../../lib/options/declarations/sampling.js';
import { formatExact } from '../../lib/options/exact.js';
import type { About } from '../../web/src/api/types.js';
import { entriesOfFurther, joined } from '../../web/src/logic/further.js';
import { limitsOf } from '../../web/src/logic/limits.js';
import { readTexts } from '../../web/src/logic/png-text.js';
import { requestOf } from '../../web/src/logic/request.js';
import { fieldsOf, merged } from '../../web/src/logic/restore.js';
import { promptOfTexts, restoredForm } from '../../web/src/logic/restore-exact.js';
import { defaults, revived, type Settings } from '../../web/src/logic/settings.js';

const about: About = {
  ...{ version: '1', locked: false, hiresUpscalers: [] },
  models: [{ name: 'starter', kind: 'diffusion', loaded: true }],
  samplers: [{ name: 'euler', label: 'Euler', ownsSchedule: false }],
  schedules: [{ name: 'karras', label: 'Karras' }],
  limits: { maxSide: 512, maxPixels: 2 ** 18, maxCount: 4, maxSteps: 50, maxPrompt: 1000 },
};

const options: GenerationOptions = {
  ...{ prompt: 'a cat', negative: 'dogs', seed: 7, width: 64, height: 96, steps: 5, cfg: 3 },
  ...{ sampler: 'euler', schedule: 'karras', eta: 0.5, guidanceInterval: [1, Number.POSITIVE_INFINITY] },
  ...{ class: 3, deepCache: { interval: 4, branch: 1 }, hires: { scale: 1.5, sampler: 'heun' } },
};
const safelight = formatExact('starter', options);

describe('the exact options of an image', () => {
  const patch = restoredForm({ safelight, parameters: 'else' }, about)!.patch;
  const form: Settings = { ...defaults, mode: 'text', ...patch };

  it('are applied to the form, with the defaults of options rather than those of the form', () => {
    expect(form).toMatchObject({
      ...{ prompt: 'a cat', negative: 'dogs', seed: 7, width: 64, height: 96, steps: 5, cfg: 3 },
      ...{ sampler: 'euler', schedule: 'karras', model: 'starter', rng: 'cpu', clipSkip: 1 },
      ...{ hires: true, hiresScale: 1.5, hiresStrength: 0.75, hiresUpscaler: 'latent' },
    });
  });

  it('are kept in addition to the form if it has no control, and sent with the next job', () => {
    expect(requestOf(form, {}, about).options).toMatchObject({
      ...{ class: 3, eta: 0.5, guidanceInterval: [1, 'Infinity'], deepCache: { interval: 4, branch: 1 } },
      hires: { scale: 1.5, strength: 0.75, upscaler: 'latent', sampler: 'heun' },
    });
    const entries = entriesOfFurther(form.further).map(({ label, value }) => `${label} ${value}`);
    expect(entries).toEqual([
      'Class 3',
      'Eta 0.5',
      'Guidance interval 1 to Infinity',
      'deepCache interval 4, branch 1',
      'hires sampler heun',
    ]);
  });

  it('of one mode are not sent with a job of another', () => {
    const further = { maskRound: false, posterior: 'sample', eta: 0.5, hires: { sampler: 'heun' } };
    expect(requestOf({ ...defaults, prompt: 'x', further }, {}, about).options).toEqual({
      prompt: 'x',
      eta: 0.5,
    });
    const picture = requestOf({ ...defaults, mode: 'picture', further }, { init: 'data:' }, about);
    expect(picture.options).toMatchObject({ posterior: 'sample', eta: 0.5 });
    expect(picture.options).not.toHaveProperty('hires');
  });

  it('that are sigmas are sent in place of steps and schedule', () => {
    const texts = { safelight: formatExact('starter', { prompt: 'x', seed: 1, sigmas: [9, 2] }) };
    const restored = { ...defaults, mode: 'text' as const, ...restoredForm(texts, about)!.patch };
    const sent = requestOf({ ...restored, steps: 7, schedule: 'karras' }, {}, about).options;
    expect(sent).toMatchObject({ sigmas: [9, 2] });
    expect(Object.keys(sent)).not.toContain('steps');
    expect(Object.keys(sent)).not.toContain('schedule');
  });

  it('of another model are listed', () => {
    expect(restoredForm({ safelight: formatExact('other', options) }, about)?.lost).toEqual(['Model: other']);
  });

  it('fall back to generation parameters if they are damaged', () => {
    const parameters = 'a dog\nSteps: 3, Sampler: Euler, Seed: 4, Size: 8x8, Version: Safelight 1';
    expect(restoredForm({ safelight: '{', parameters }, about)?.patch).toMatchObject({
      prompt: 'a dog',
      seed: 4,
    });
    expect(promptOfTexts({ safelight, parameters })).toBe('a cat');
    expect(promptOfTexts({ safelight: '{', parameters })).toBe('a dog');
    expect(promptOfTexts({})).toBeUndefined();
    expect(restoredForm({}, about)).toBeUndefined();
  });

  it('are read from a PNG', async () => {
    const png = await encodePng(
      { data: new Uint8Array(3), width: 1, height: 1 },
      { parameters: 'p', safelight },
    );
    expect(await readTexts(new Blob([png]))).toEqual({ parameters: 'p', safelight });
  });
});

describe('generation parameters written by Safelight', () => {
  const text =
    'a cat\nSteps: 3, Sampler: Euler, CFG scale: 7, Class: 3, Seed: 4, Size: 8x8, Guidance interval: 0.3 to 5, DeepCache interval: 4, ' +
    'DeepCache branch: 2, Mask blur: 3/5, Version: Safelight 0.1.0';

  it('keep options for which the form has no control', () => {
    expect(merged(fieldsOf(text, about)).further).toEqual({
      ...{ class: 3, guidanceInterval: [0.3, 5], deepCache: { interval: 4, branch: 2 }, maskBlur: [3, 5] },
    });
    const foreign = fieldsOf(text.replace('Safelight 0.1.0', 'v1.9.4'), about);
    expect(merged(foreign).further).toEqual({});
  });

  it('can be restored one by one', () => {
    const field = fieldsOf(text, about).find(({ label }) => label === 'DeepCache branch');
    expect(joined({ deepCache: { interval: 2 }, class: 1 }, field!.patch.further!)).toEqual({
      deepCache: { interval: 2, branch: 2 },
      class: 1,
    });
  });
});

describe('the form', () => {
  it('drops additional options of an earlier visit that are no longer valid', () => {
    expect(revived({ further: { eta: 0.5 } }).further).toEqual({ eta: 0.5 });
    for (const further of [{ eta: 99 }, { nosuch: 1 }, [1], null, 'x'])
      expect(revived({ further }).further).toEqual({});
  });

  it('has the limits of the options, within the server’s', () => {
    expect(limitsOf(samplingFields.steps, about)).toEqual({ min: 1, max: 50 });
    expect(limitsOf(samplingFields.steps, null)).toEqual({ min: 1, max: 150 });
    expect(limitsOf(samplingFields.cfg, about)).toEqual({ min: 0, max: 100 });
    expect(limitsOf(seedFields.seed, about)).toEqual({ min: -1, max: Number.MAX_SAFE_INTEGER - 4 });
  });
});
