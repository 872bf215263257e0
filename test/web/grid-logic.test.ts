/** Logic of grids on the web page: axes of the form, options of the model, cells of jobs. */
import { describe, expect, it } from 'vitest';
import { formatExact } from '../../lib/options/exact.js';
import type { About, ApiJob, ModelAbout } from '../../web/src/api/types.js';
import { enlargeRequest } from '../../web/src/logic/enlarge.js';
import { axisTopics, exampleOf, valuesToChoose } from '../../web/src/logic/grid/axis-choices.js';
import { continuedJobs, missingCells, optionsOfImage } from '../../web/src/logic/grid/cells.js';
import { chosenValues, countOf, formAxes, withToggledValue } from '../../web/src/logic/grid/form-axes.js';
import { requestOf } from '../../web/src/logic/request.js';
import { fieldsOf, mergeFields } from '../../web/src/logic/restore.js';
import { restoredForm } from '../../web/src/logic/restore-exact.js';
import { searchTexts } from '../../web/src/logic/search.js';
import { defaults, reviveSettings, type Settings } from '../../web/src/logic/settings.js';
import { fakeJob } from './crowd.js';

const modelOf = (condition: 'text' | 'class' | 'none'): ModelAbout => ({
  ...({ name: 'm', kind: 'diffusion', loaded: true } as const),
  diffusion: { family: 'sd1', width: 64, height: 64, factor: 8, condition },
});
const model = modelOf('text');
const about: About = {
  ...{ version: '1', locked: false, hiresUpscalers: [], models: [model] },
  samplers: ['euler', 'heun'].map((name) => ({ name, label: name.toUpperCase(), ownsSchedule: false })),
  schedules: [{ name: 'karras', label: 'Karras' }],
  limits: { maxSide: 512, maxPixels: 2 ** 18, maxCount: 6, maxSteps: 50, maxPrompt: 1000 },
};
const form: Settings = {
  ...{ ...defaults, grid: true, prompt: 'a red apple', steps: 4, schedule: 'karras' },
  ...{ gridX: 'steps=1,2,3', gridY: 'prompt-sr=red,green' },
};
const axesWith = (patch: Partial<Settings>) => formAxes({ ...form, ...patch }, { about, model });
const choices = (mode: Settings['mode'], condition: 'text' | 'class' | 'none' = 'text') =>
  axisTopics(mode, modelOf(condition)).flatMap((topic) => topic.choices);

describe('the axes of the form', () => {
  it('are sent with the options of a single image', () => {
    expect(requestOf({ ...form, count: 3, batch: 2 }, {}, about)).toEqual({
      ...{ type: 'grid', model: 'm' },
      options: {
        ...{ prompt: 'a red apple', steps: 4, schedule: 'karras' },
        ...{ x: 'steps=1,2,3', y: 'prompt-sr=red,green' },
      },
    });
    const image = requestOf({ ...form, mode: 'picture', gridX: 'strength=0.5' }, { init: 'data:,' }, about);
    expect(image).toMatchObject({ type: 'grid', options: { init: 'data:,', x: 'strength=0.5' } });
    expect(requestOf({ ...form, grid: false }, {}, about).type).toBe('text-to-image');
    const { options } = requestOf({ ...form, gridX: 'sigmas="9,1"' }, {}, about);
    expect(options).not.toHaveProperty('steps');
    expect(options).not.toHaveProperty('schedule');
  });

  it('are checked within the limits of the server and the model', () => {
    expect(axesWith({}).x.axis?.values).toHaveLength(3);
    const problems = {
      'steps=51': '50',
      'width=60': '8',
      'strength=1': 'no effect in this mode',
      'steps=': 'at least one value',
      'prompt-sr=x': 'neither',
    };
    for (const [gridX, problem] of Object.entries(problems)) {
      expect(axesWith({ gridX }).x.problem).toContain(problem);
      expect(() => requestOf({ ...form, gridX }, {}, about)).toThrow(/^X: /);
    }
  });

  it('are counted', () => {
    expect(countOf(axesWith({}), about)).toEqual({ images: 6, text: '3 columns × 2 rows = 6 images' });
    const tooMany = countOf(axesWith({ gridZ: 'seed=1,2' }), about);
    expect(tooMany).toMatchObject({ images: 12, problem: expect.stringContaining('at most 6 images') });
    expect(countOf(axesWith({ gridX: '', gridY: '' }), about).problem).toContain('Choose an option');
    expect(countOf(axesWith({ gridY: 'steps=9' }), about).problem).toContain('a different option');
  });

  it('survive a reload and the settings of an image, which turn the grid off', () => {
    expect(reviveSettings(JSON.parse(JSON.stringify(form)))).toEqual(form);
    expect(reviveSettings({ ...form, gridX: 5, grid: 'yes' })).toMatchObject({ gridX: '', grid: false });
    const exact = restoredForm({ safelight: formatExact('m', { prompt: 'pear' }) }, about)!.patch;
    const written = mergeFields(fieldsOf('pear\nSteps: 3, Seed: 1, Version: Safelight 1', about));
    for (const patch of [exact, written])
      expect({ ...form, ...patch }).toMatchObject({ prompt: 'pear', grid: false, gridX: 'steps=1,2,3' });
  });
});

describe('values of a fixed set', () => {
  const set = ['', 'a', 'b, c'];

  it('are added in the order of the set, and removed', () => {
    let axis = { option: 'style', values: '' };
    for (const value of ['b, c', '']) axis = withToggledValue(axis, value, set);
    expect(axis.values).toBe(',"b, c"');
    expect(chosenValues(axis)).toEqual(['', 'b, c']);
    axis = withToggledValue(axis, 'b, c', set);
    expect(chosenValues(axis)).toEqual(['']);
    expect(withToggledValue(axis, '', set).values).toBe('');
  });

  it('are those of samplers, styles, switches and choices', () => {
    const valuesOf = (name: string) => {
      const choice = choices('text').find((one) => one.name === name)!;
      return valuesToChoose(choice, about, [{ name: 'Ink', prompt: '', negative: '' }])?.map(
        ([value]) => value,
      );
    };
    expect(valuesOf('sampler')).toEqual(['euler', 'heun']);
    expect(valuesOf('style')).toEqual(['', 'Ink']);
    expect(valuesOf('dynamic-prompts')).toEqual(['false', 'true']);
    expect(valuesOf('rng')).toEqual(['cpu', 'cuda']);
    expect(valuesOf('steps')).toBeUndefined();
  });
});

describe('the options to choose from', () => {
  const names = (...of: Parameters<typeof choices>) => choices(...of).map(({ name }) => name);

  it('are those of the mode, without files', () => {
    expect(names('text')).toEqual(expect.arrayContaining(['prompt-sr', 'steps', 'hires-scale', 'seed']));
    expect(names('picture')).toEqual(expect.arrayContaining(['strength']));
    expect(names('inpaint')).toEqual(expect.arrayContaining(['strength', 'mask-blur']));
    for (const mode of ['text', 'picture', 'inpaint'] as const)
      for (const name of [
        'count',
        'batch',
        'init',
        'mask',
        'lora',
        'region',
        'noise',
        'class',
        'missing-adapters',
      ])
        expect(names(mode)).not.toContain(name);
    expect(names('text')).not.toContain('strength');
    expect(names('picture')).not.toContain('hires-scale');
  });

  it('are those that have an effect on the model', () => {
    expect(names('text', 'class')).toContain('class');
    expect(names('text', 'none')).not.toContain('class');
    for (const name of ['prompt', 'prompt-sr', 'clip-skip', 'negative', 'hires-prompt'])
      expect(names('text', 'none')).not.toContain(name);
  });

  it('have examples that can be parsed', () => {
    for (const choice of choices('inpaint')) {
      if (valuesToChoose(choice, about, []) !== undefined) continue;
      for (const values of exampleOf(choice).split(' or ')) {
        const gridX = `${choice.name}=${values.replaceAll(/\b(512|768)\b/g, '64')}`;
        const prompt = 'a red shiny small apple';
        expect([choice.name, axesWith({ mode: 'inpaint', gridX, prompt }).x.problem]).toEqual([
          choice.name,
          undefined,
        ]);
      }
    }
  });
});

describe('grid jobs', () => {
  const options = { prompt: 'a red apple', seed: 5, x: 'steps=1,2', y: 'prompt-sr=red,green' };
  const image = (cell: number) => ({
    ...{
      name: `${cell}.png`,
      type: 'image/png',
      width: 64,
      height: 64,
      parameters: '',
      url: '',
      seed: 5,
      cell,
    },
  });
  const job = (
    id: string,
    status: ApiJob['status'],
    cells: readonly number[],
    continues?: string,
  ): ApiJob => ({
    ...fakeJob({ type: 'grid' }),
    options: { ...options, ...(continues ? { continues } : {}) },
    ...{ id, status, images: cells.map(image) },
    ...(status === 'running' ? {} : { finished: '2026-01-01T00:00:00.000Z' }),
  });

  it('count their missing cells', () => {
    expect(missingCells(job('a', 'cancelled', [0, 2]))).toBe(2);
    expect(missingCells(job('a', 'done', [0, 1, 2, 3]))).toBe(0);
  });

  it('are enlarged and found by the options of their cells', () => {
    const [first] = [job('a', 'done', [3])];
    expect(optionsOfImage(first!, image(3))).toEqual({ prompt: 'a green apple', seed: 5, steps: 2 });
    const request = enlargeRequest(first!, image(3), { scale: 2, strength: 0.3 }, about);
    expect(request.options).toEqual({
      ...{ prompt: 'a green apple', seed: 5, steps: 2, width: 128, height: 128, strength: 0.3 },
      init: { job: 'a', image: '3.png' },
    });
    expect(searchTexts(first!, image(3), about).prompt).toBe('a green apple');
  });

  it('are replaced by a job that has taken over all of their images', () => {
    const earlier = job('a', 'cancelled', [0, 1]);
    expect(continuedJobs([earlier, job('b', 'running', [0, 1, 2], 'a')])).toEqual(new Set());
    expect(continuedJobs([earlier, job('b', 'cancelled', [0], 'a')])).toEqual(new Set());
    expect(continuedJobs([earlier, job('b', 'done', [0, 1, 2, 3], 'a')])).toEqual(new Set(['a']));
  });
});
