import { expect, it } from 'vitest';
import { type PromptPart, parsePrompt, plainPrompt } from '../../lib/conditioning/prompt.js';
import { fixture } from '../support/text/fixtures.js';

const { prompts } = fixture<{ prompts: [string, [string, number][]][] }>('prompts');

/** Returns parts in the form of A1111's parser: the end of a chunk is ["BREAK", -1]. */
function pairs(parts: readonly PromptPart[]): [string, number][] {
  return parts.map((part) => (part.kind === 'break' ? ['BREAK', -1] : [part.text, part.weight]));
}

it.each(prompts)('reads %j as A1111 does, with bit-identical weights', (prompt, expected) => {
  expect(pairs(parsePrompt(prompt))).toEqual(expected);
});

it('represents the end of a chunk as its own kind of part', () => {
  expect(parsePrompt('a BREAK (b:1.5)')).toEqual([
    { kind: 'text', text: 'a', weight: 1 },
    { kind: 'break' },
    { kind: 'text', text: '', weight: 1 },
    { kind: 'text', text: 'b', weight: 1.5 },
  ]);
});

it('reads a weight that is not a number as text', () => {
  expect(pairs(parsePrompt('(a:1.2.3) (b:.) (c:-)'))).toEqual([
    ['a:1.2.3', 1.1],
    [' ', 1],
    ['b:.', 1.1],
    [' ', 1],
    ['c:-', 1.1],
  ]);
});

it('leaves schedules, alternation and AND as text', () => {
  expect(pairs(parsePrompt('[a:b:0.5]'))).toEqual([['a:b:0.5', 1 / 1.1]]);
  expect(pairs(parsePrompt('[a|b]'))).toEqual([['a|b', 1 / 1.1]]);
  expect(pairs(parsePrompt('a AND b :1.2'))).toEqual([['a AND b :1.2', 1]]);
});

it('accepts a plain prompt without syntax', () => {
  expect(plainPrompt('(a:1.2) BREAK \\(b\\)')).toEqual([
    { kind: 'text', text: '(a:1.2) BREAK \\(b\\)', weight: 1 },
  ]);
});

it.each([
  ['opening', '('.repeat(100_000)],
  ['closing', ')'.repeat(100_000)],
  ['nested and closed', `${'(a'.repeat(33_333)}${')'.repeat(33_333)}`],
  ['nested and open', '(a'.repeat(50_000)],
  ['of both kinds, overlapping', `${'([a'.repeat(20_000)}${')]'.repeat(20_000)}`],
  ['colons', ':1'.repeat(50_000)],
  ['a colon and spaces', `(a:${' '.repeat(100_000)}`],
  ['spaces around BREAK', `${' '.repeat(50_000)}BREAK${' '.repeat(50_000)}`],
  ['BREAKs', 'BREAK '.repeat(16_666)],
  ['backslashes', '\\'.repeat(100_000)],
])('parses 10^5 characters in a short time: %s', (_name, prompt) => {
  const started = performance.now();
  const parts = parsePrompt(prompt);
  expect(performance.now() - started).toBeLessThan(2000);
  expect(parts.length).toBeGreaterThan(0);
});

it('multiplies weights of deep nesting, beyond the depth at which the order matters', () => {
  const deep = (depth: number) => parsePrompt(`${'('.repeat(depth)}a${')'.repeat(depth)}`)[0];
  for (const depth of [1, 499, 500, 501, 2000]) {
    const part = deep(depth);
    expect(part?.kind === 'text' && part.weight / 1.1 ** depth).toBeCloseTo(1, 9);
  }
});
