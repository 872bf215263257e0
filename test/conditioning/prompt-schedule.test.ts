import { describe, expect, it } from 'vitest';
import {
  promptTexts,
  schedulePrompt,
  splitAtAnd,
  textAtEvaluation,
} from '../../lib/conditioning/prompt-schedule.js';

const entries = (prompt: string, steps = 10, before?: number) =>
  schedulePrompt(prompt, { steps, before }).map(({ until, text }) => [until, text]);

describe('schedulePrompt', () => {
  // The doctests of A1111's get_learned_conditioning_prompt_schedules.
  it.each([
    ['test', [[10, 'test']]],
    [
      'a [b:3]',
      [
        [3, 'a '],
        [10, 'a b'],
      ],
    ],
    [
      'a [b: 3]',
      [
        [3, 'a '],
        [10, 'a b'],
      ],
    ],
    [
      'a [[[b]]:2]',
      [
        [2, 'a '],
        [10, 'a [[b]]'],
      ],
    ],
    [
      '[(a:2):3]',
      [
        [3, ''],
        [10, '(a:2)'],
      ],
    ],
    [
      'a [b : c : 1] d',
      [
        [1, 'a b  d'],
        [10, 'a  c  d'],
      ],
    ],
    [
      'a[b:[c:d:2]:1]e',
      [
        [1, 'abe'],
        [2, 'ace'],
        [10, 'ade'],
      ],
    ],
    ['a [unbalanced', [[10, 'a [unbalanced']]],
    [
      'a [b:.5] c',
      [
        [5, 'a  c'],
        [10, 'a b c'],
      ],
    ],
    // A1111's doctest expects a schedule here, which its own grammar does not yield.
    ['a [{b|d{:.5] c', [[10, 'a [{b|d{:.5] c']]],
    [
      '((a][:b:c [d:3]',
      [
        [3, '((a][:b:c '],
        [10, '((a][:b:c d'],
      ],
    ],
    [
      '[a|(b:1.1)]',
      [
        [1, 'a'],
        [2, '(b:1.1)'],
        [3, 'a'],
        [4, '(b:1.1)'],
        [5, 'a'],
        [6, '(b:1.1)'],
        [7, 'a'],
        [8, '(b:1.1)'],
        [9, 'a'],
        [10, '(b:1.1)'],
      ],
    ],
    [
      '[fe|]male',
      [
        [1, 'female'],
        [2, 'male'],
        [3, 'female'],
        [4, 'male'],
        [5, 'female'],
        [6, 'male'],
        [7, 'female'],
        [8, 'male'],
        [9, 'female'],
        [10, 'male'],
      ],
    ],
    [
      '[fe|||]male',
      [
        [1, 'female'],
        [2, 'male'],
        [3, 'male'],
        [4, 'male'],
        [5, 'female'],
        [6, 'male'],
        [7, 'male'],
        [8, 'male'],
        [9, 'female'],
        [10, 'male'],
      ],
    ],
  ])('splits %j as A1111 does', (prompt, expected) => {
    // A1111 lists equal neighbours separately; they are merged here.
    const merged = (expected as [number, string][]).filter(([, text], i, all) => text !== all[i + 1]?.[1]);
    expect(entries(prompt)).toEqual(merged);
  });

  // The doctests with hires steps.
  it.each([
    ['a [b:.5] c', [[10, 'a b c']]],
    [
      'a [b:1.5] c',
      [
        [5, 'a  c'],
        [10, 'a b c'],
      ],
    ],
    [
      '[c:d:15]',
      [
        [5, 'c'],
        [10, 'd'],
      ],
    ],
    ['[c:d:5]', [[10, 'd']]],
  ])('continues %j in the second pass', (prompt, expected) => {
    expect(entries(prompt, 10, 10)).toEqual(expected);
  });

  it('shows the first text up to and including the evaluation of the step', () => {
    const schedule = schedulePrompt('[a:b:1]', { steps: 4 });
    expect([0, 1, 2, 3, 9].map((k) => textAtEvaluation(schedule, k))).toEqual(['a', 'a', 'b', 'b', 'b']);
  });

  it.each([
    ['[a:b:1.0]', [[10, 'a']]],
    [
      '[a:b:1]',
      [
        [1, 'a'],
        [10, 'b'],
      ],
    ],
    ['[a:b:0]', [[10, 'b']]],
    ['[a:b:-3]', [[10, 'b']]],
    ['[a:b:99]', [[10, 'a']]],
    [
      '[a::4]',
      [
        [4, 'a'],
        [10, ''],
      ],
    ],
    ['\\[a:b:4\\]', [[10, '\\[a:b:4\\]']]],
    ['[a:b:4|c]', [[10, '[a:b:4|c]']]],
    ['a:b|c', [[10, 'a:b|c']]],
    ['[a:b:c]', [[10, '[a:b:c]']]],
    ['', [[10, '']]],
  ])('reads %j', (prompt, expected) => {
    expect(entries(prompt)).toEqual(expected);
  });

  it('takes constructs in more than 500 levels literally', () => {
    const nested = (depth: number) => `${'['.repeat(depth)}a${'|b]'.repeat(depth)}`;
    expect(schedulePrompt(nested(500), { steps: 4 })).not.toHaveLength(1);
    expect(entries(nested(501))).toEqual([[10, nested(501)]]);
  });

  it('takes time proportional to the length', () => {
    const start = performance.now();
    for (const part of ['[', '[a:', '[a|', '(', '[a:b:3] ', '\\', ':', '[[a|b]|', '()', '[a|b]'])
      for (const tail of ['', ']'.repeat(50_000), ':3]'.repeat(20_000)])
        schedulePrompt(part.repeat(100_000 / part.length) + tail, { steps: 20 });
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

describe('splitAtAnd', () => {
  it.each([
    [
      'a AND b',
      [
        ['a', 1],
        ['b', 1],
      ],
    ],
    [
      'a :1.5 AND b:-0.4 AND c',
      [
        ['a', 1.5],
        ['b', -0.4],
        ['c', 1],
      ],
    ],
    [
      'bAND AND ANDa',
      [
        ['bAND', 1],
        ['ANDa', 1],
      ],
    ],
    ['cats:0.5', [['cats', 0.5]]],
    ['(cat:0.5)', [['(cat:0.5)', 1]]],
  ])('splits %j', (prompt, expected) => {
    expect(splitAtAnd(prompt).map(({ text, weight }) => [text.trim(), weight])).toEqual(expected);
  });
});

describe('splitAtAnd on long prompts', () => {
  it('takes time proportional to the length', () => {
    const start = performance.now();
    for (const part of [' ', ' :', ': ', 'AND ', '1', ':1']) splitAtAnd(part.repeat(200_000 / part.length));
    expect(performance.now() - start).toBeLessThan(2000);
  });
});

describe('promptTexts', () => {
  it('lists each text that a prompt has in the course of a pass once', () => {
    expect(promptTexts('[a|b] AND c', { steps: 4 })).toEqual(['a', 'b', ' c']);
    expect(promptTexts('a AND b', { steps: 4 }, { negative: true })).toEqual(['a AND b']);
  });
});
