import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cellCount,
  type GridAxes,
  indexOf,
  optionsAt,
  parseAxes,
  placeOf,
} from '../../../lib/pipelines/grid/axes.js';
import { type GridAxis, parseAxis } from '../../../lib/pipelines/grid/axis.js';
import { axisOptions, findOption, isLocal } from '../../../lib/pipelines/grid/axis-options.js';
import { joinValues, numbersOf, splitValues } from '../../../lib/pipelines/grid/axis-values.js';
import type { CellOptions } from '../../../lib/pipelines/grid/cell-options.js';
import { planGrid } from '../../../lib/pipelines/grid/cells.js';

const BASE: CellOptions = { prompt: 'a red apple', seed: 5 };

/** Returns what an axis sets in each cell. */
const cellsOf = (axis: GridAxis, options: CellOptions = BASE) =>
  planGrid(options, { x: axis }).cells.map((cell) => cell.options);

describe('splitValues', () => {
  it.each([
    ['4,8, 12 ', ['4', '8', '12']],
    ['"a, b",c', ['a, b', 'c']],
    ['a "b", "c ""d"""', ['a "b"', 'c "d"']],
    [',x', ['', 'x']],
    ['" kept "', [' kept ']],
    ['苹果,🍎', ['苹果', '🍎']],
  ])('splits %j', (text, values) => {
    expect(splitValues('x', text)).toEqual(values);
  });

  it.each(['"a', '"a"b', '"a","b'])('rejects the unbalanced quotes of %j', (text) => {
    expect(() => splitValues('negative', text)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining('closing quote') }),
    );
  });
});

describe('joinValues', () => {
  it('writes values so that they are split again', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1, maxLength: 5 }), (values) => {
        expect(splitValues('x', joinValues(values))).toEqual(values);
      }),
    );
    expect(joinValues(['a', 'b, c', '"d"'])).toBe('a,"b, c","""d"""');
  });
});

describe('isLocal', () => {
  it('holds for options of files and images, and no others', () => {
    const local = axisOptions().filter(isLocal);
    expect(local.map(({ name }) => name)).toEqual(['region', 'lora', 'init', 'mask']);
  });
});

describe('numbersOf', () => {
  it.each([
    ['7', true, [7]],
    ['-3', false, [-3]],
    ['1e-3', false, [0.001]],
    ['1-5', true, [1, 2, 3, 4, 5]],
    ['1-5 (+2)', true, [1, 3, 5]],
    ['1 - 6(2)', true, [1, 3, 5]],
    ['10-1 (-3)', true, [10, 7, 4, 1]],
    ['5-3', true, [5, 4, 3]],
    ['1-10 [4]', true, [1, 4, 7, 10]],
    ['1-10 [5]', true, [1, 3, 5, 7, 10]],
    ['0-1 (+0.1)', false, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]],
    ['0-1 [3]', false, [0, 0.5, 1]],
    ['-1-1', false, [-1, 0, 1]],
    ['4-9 [1]', true, [4]],
    ['Infinity', false, [Number.POSITIVE_INFINITY]],
  ])('reads %s (integers: %s)', (text, integers, values) => {
    expect(numbersOf('steps', text, integers)).toEqual(values);
  });

  it.each([
    '',
    'x',
    '1-',
    '1-5 (-1)',
    '5-1 (+1)',
    '1-5 (0)',
    '1-5 [0]',
    '1-9999999',
    '0x10',
    '1.5-3',
    '1-2-3',
  ])('rejects %j with a typed error', (text) => {
    expect(() => numbersOf('steps', text, true)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining('for steps') }),
    );
  });
});

describe('parseAxis', () => {
  it.each(['hires-scale', 'hiresScale', 'hires.scale', '--hires-scale', 'HIRES_SCALE'])(
    'finds the option of a group as %s',
    (name) => {
      const cells = cellsOf(`${name}=1.5,2`, { ...BASE, hires: { steps: 3 } });
      expect(cells.map(({ hires }) => hires)).toEqual([
        { steps: 3, scale: 1.5 },
        { steps: 3, scale: 2 },
      ]);
    },
  );

  it.each<[string, (options: CellOptions) => unknown, unknown[]]>([
    ['steps=1-3', ({ steps }) => steps, [1, 2, 3]],
    ['cfg=1,7.5', ({ cfg }) => cfg, [1, 7.5]],
    ['width=64,128', ({ width }) => width, [64, 128]],
    ['seed=1-2', ({ seed }) => seed, [1, 2]],
    ['sampler=euler,DPM++ 2M', ({ sampler }) => sampler, ['euler', 'DPM++ 2M']],
    ['prompt=a,"b, c"', ({ prompt }) => prompt, ['a', 'b, c']],
    ['negative=,blurry', ({ negative }) => negative, ['', 'blurry']],
    ['emphasis=no-norm,original', ({ emphasis }) => emphasis, ['no norm', 'original']],
    ['discard-penultimate=false,on', ({ discardPenultimate }) => discardPenultimate, [false, true]],
    [
      'guidance-interval="0,5","1, 6"',
      ({ guidanceInterval }) => guidanceInterval,
      [
        [0, 5],
        [1, 6],
      ],
    ],
    ['sigmas="5,2,1"', ({ sigmas }) => sigmas, [[5, 2, 1]]],
    ['style=,ink', ({ styles }) => styles, [[], ['ink']]],
    ['lora=,ink.safetensors:0.5', ({ loras }) => loras, [[], [{ path: 'ink.safetensors', weight: 0.5 }]]],
  ])('reads %s', (axis, value, values) => {
    const actual = cellsOf(axis, { ...BASE, ...(axis.startsWith('prompt') ? { prompt: '' } : {}) }).map(
      value,
    );
    expect(actual).toMatchObject(values);
    expect(actual).toHaveLength(values.length);
  });

  it('labels values with the name of their option', () => {
    const labels = (axis: GridAxis) => parseAxis('x', axis).values.map(({ label }) => label);
    expect(labels('steps=4,8')).toEqual(['steps: 4', 'steps: 8']);
    expect(labels('hiresScale=2')).toEqual(['hires-scale: 2']);
    expect(labels('lora=,a/ink.safetensors:0.5')).toEqual(['lora: none', 'lora: ink:0.5']);
    expect(labels('guidance-interval="0,5"')).toEqual(['guidance-interval: 0, 5']);
    expect(labels('prompt-sr=red,green')).toEqual(['red', 'green']);
    expect(labels({ option: 'discardPenultimate', values: [true] })).toEqual(['discard-penultimate: true']);
  });

  it('takes values of their own types from an object', () => {
    expect(cellsOf({ option: 'steps', values: [3, 9] }).map(({ steps }) => steps)).toEqual([3, 9]);
    expect(cellsOf({ option: 'prompt-sr', values: ['red', 'a, b'] })[1]!.prompt).toBe('a a, b apple');
  });

  it.each<[unknown, RegExp]>([
    ['steps', /Expected OPTION=VALUES/],
    ['=4', /Expected OPTION=VALUES/],
    ['steps=', /Expected OPTION=VALUES/],
    ['stpes=4', /Unknown option "stpes" of an axis: did you mean "?steps/i],
    ['count=1,2', /Unknown option "count" of an axis/],
    ['batch=1', /Unknown option "batch"/],
    ['embeddings=a', /Unknown option "embeddings"/],
    ['steps=4,x', /integers, or a range/],
    ['steps=0', /Expected an integer between 1 and 1000 for steps/],
    ['sampler=euler,none', /for sampler/],
    ['discard-penultimate=maybe', /true or false/],
    ['seed=-1', /seeds of at least 0/],
    ['width=100.5', /for width/],
    ['emphasis=loud', /for emphasis/],
    ['prompt-sr=pear,plum', /contains "pear"/],
    ['prompt-order=red,pear', /does not contain "pear"/],
    ['prompt-order=red,re', /overlap/],
    ['prompt-order=a,b,c,d,e,f,g', /at most 6/],
    ['prompt-sr=', /Expected OPTION=VALUES/],
    ['steps=1-1001', /at most 1000/],
    [{ option: 'steps', values: [] }, /x\.values/],
    [{ option: 'steps', values: ['4'] }, /for steps/],
    [{ option: 'steps', values: [undefined] }, /for steps/],
    [{ option: 5, values: [1] }, /x\.option/],
    [{ options: 'steps' }, /Unknown option "options"/],
    [7, /for x/],
    [null, /for x/],
  ])('rejects %j', (axis, message) => {
    expect(() => planGrid(BASE, { x: axis as GridAxis })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringMatching(message) }),
    );
  });

  it('finds every flag of a generation option', () => {
    for (const name of [
      'strength',
      'init',
      'mask-blur',
      'clip-skip',
      'subseed-strength',
      'deepcache-interval',
    ])
      expect(findOption(name).name).toBe(name);
  });
});

describe('prompt axes', () => {
  it('reject replacements that make a prompt longer than any may be', () => {
    const prompt = 'a'.repeat(1000);
    expect(cellsOf(`prompt-sr=a,${'b'.repeat(120)}`, { ...BASE, prompt })[1]!.prompt).toHaveLength(120_000);
    expect(() => cellsOf(`prompt-sr=a,${'b'.repeat(121)}`, { ...BASE, prompt })).toThrow('121000');
  });

  it('replaces a text everywhere in both prompts, literally', () => {
    const options = { ...BASE, prompt: 'red, a red apple', negative: 'no red' };
    expect(cellsOf('prompt-sr=red,$& (green:1.2)', options)).toMatchObject([
      { prompt: 'red, a red apple', negative: 'no red' },
      { prompt: '$& (green:1.2), a $& (green:1.2) apple', negative: 'no $& (green:1.2)' },
    ]);
  });

  it('applies after a prompt of another axis', () => {
    const { cells } = planGrid({ seed: 1 }, { x: 'prompt-sr=red,green', y: 'prompt=a red pear,a red plum' });
    expect(cells.map(({ options }) => options.prompt)).toEqual([
      'a red pear',
      'a green pear',
      'a red plum',
      'a green plum',
    ]);
  });

  it('puts words in each order at their places', () => {
    const options = { ...BASE, prompt: 'one, two and three.' };
    expect(cellsOf('prompt-order=one,two,three', options).map(({ prompt }) => prompt)).toEqual([
      'one, two and three.',
      'one, three and two.',
      'two, one and three.',
      'two, three and one.',
      'three, one and two.',
      'three, two and one.',
    ]);
  });
});

describe('the places of cells', () => {
  const axes = parseAxes({ x: 'steps=1-3', y: 'prompt-sr=red,green', z: 'seed=8,9' });

  it('are numbered row by row, sheet by sheet', () => {
    expect(cellCount(axes)).toBe(12);
    expect([0, 2, 3, 6].map((index) => placeOf(axes, index))).toEqual([
      { x: 0, y: 0, z: 0 },
      { x: 2, y: 0, z: 0 },
      { x: 0, y: 1, z: 0 },
      { x: 0, y: 0, z: 1 },
    ]);
    for (let index = 0; index < 12; index++) expect(indexOf(axes, placeOf(axes, index))).toBe(index);
  });

  it('have the options that a plan gives them', () => {
    const plan = planGrid(
      { ...BASE, subseedStrength: 0.5 },
      { x: 'steps=1-3', y: 'prompt-sr=red,green', z: 'seed=8,9' },
    );
    for (const { index, options } of plan.cells)
      expect(optionsAt(axes, { ...BASE, seed: 5, subseedStrength: 0.5 }, placeOf(axes, index))).toEqual(
        options,
      );
  });

  it('are at most as many as the caller accepts', () => {
    expect(() => parseAxes({ x: 'steps=1-3', y: 'seed=1-4' }, 11)).toThrow('at most 11 cells');
    expect(() => parseAxes({ x: 'steps=1-3', y: 'seed=1-4' }, 12)).not.toThrow();
  });
});

describe('planGrid', () => {
  it('lists the cells row by row and sheet by sheet', () => {
    const { cells } = planGrid(BASE, { x: 'steps=1,2', y: 'cfg=3,4', z: 'seed=8,9' });
    expect(cells.map(({ x, y, z }) => [x, y, z])).toEqual([
      ...[0, 1].flatMap((z) => [0, 1].flatMap((y) => [0, 1].map((x) => [x, y, z]))),
    ]);
    expect(cells[5]!.options).toMatchObject({ steps: 2, cfg: 3, seed: 9, count: 1, prompt: 'a red apple' });
  });

  it('draws a random seed once, also for the variation', () => {
    const options = { prompt: 'a', subseedStrength: 0.3 };
    const { cells, seed } = planGrid(options, { x: 'steps=1,2', y: 'cfg=1,2' });
    const [first] = cells;
    for (const cell of cells) {
      expect(cell.options.seed).toBe(seed);
      expect(cell.options.subseed).toBe(first!.options.subseed);
    }
    expect(first!.options.subseed).not.toBe(seed);
    expect(planGrid({ ...options, seed }, { x: 'steps=1' }).cells[0]!.options.subseed).toBe(
      first!.options.subseed,
    );
    expect(planGrid({ prompt: 'a' }, { x: 'steps=1' }).seed).not.toBe(seed);
  });

  it.each<[CellOptions, unknown, RegExp]>([
    [BASE, {}, /at least one of x, y and z/],
    [BASE, { w: 'steps=1' }, /Unknown option "w" of axes/],
    [BASE, { x: 'steps=1', y: 'STEPS=2' }, /a different option for each axis/],
    [BASE, { x: 'steps=1-100', y: 'seed=1-11' }, /at most 1000 cells/],
    [{ ...BASE, count: 2 }, { x: 'steps=1' }, /1 for a grid/],
    [{ ...BASE, prompt: ['a', 'b'] }, { x: 'steps=1' }, /a single text for a grid/],
    [{ ...BASE, cfg: -1 }, { x: 'steps=1' }, /for cfg/],
  ])('rejects the options %j with the axes %j', (options, axes, message) => {
    expect(() => planGrid(options, axes as GridAxes)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringMatching(message) }),
    );
  });
});
