import { describe, expect, it } from 'vitest';
import { unsupportedSyntax } from '../../lib/conditioning/unsupported-syntax.js';
import { growth } from '../support/text/growth.js';

const found = (prompt: string, negative = false) =>
  unsupportedSyntax(prompt, { negative }).map(({ kind, text }) => `${kind} ${text}`);

describe('networks in angle brackets', () => {
  it.each([
    ['a <lora:detail:0.8> cat', ['lora <lora:detail:0.8>']],
    ['<LoRA:a b:te=1:unet=.5><lyco:x:1>', ['lora <LoRA:a b:te=1:unet=.5>', 'lyco <lyco:x:1>']],
    ['a <hypernet:anime:1>', ['hypernet <hypernet:anime:1>']],
    // Removed before the brackets are read, as in A1111.
    ['[<lora:a:1>cat:dog:3]', ['lora <lora:a:1>', 'editing [cat:dog:3]']],
  ])('are found in %j', (prompt, expected) => {
    expect(found(prompt)).toEqual(expected);
  });

  it.each(['<lora:>', '<lora:a', 'lora:a:1', '<loraX:a>', 'a < lora:b:1 >', 'I <3 cats: yes > no'])(
    'are not found in %j',
    (prompt) => {
      expect(found(prompt)).toEqual([]);
    },
  );
});

describe('prompt editing', () => {
  it.each([
    ['[cat:dog:10]', ['editing [cat:dog:10]']],
    ['a [cat:0.5] b', ['editing [cat:0.5]']],
    ['a [cat::5]', ['editing [cat::5]']],
    ['a [:cat:.5]', ['editing [:cat:.5]']],
    ['[b : c : 1 ]', ['editing [b : c : 1 ]']],
    ['[a:b:-1] [c:d:+2.] [e:1e1]', ['editing [a:b:-1]', 'editing [c:d:+2.]', 'editing [e:1e1]']],
    ['a[b:[c:d:2]:1]e', ['editing [b:[c:d:2]:1]', 'editing [c:d:2]']],
    ['[(a:2):3]', ['editing [(a:2):3]']],
    ['a [[[b]]:2]', ['editing [[[b]]:2]']],
    ['((a][:b:c [d:3]', ['editing [d:3]']],
    ['(a [b:5]', ['editing [b:5]']],
    ['[red\nblue:5]', ['editing [red\nblue:5]']],
    // A weight in square brackets, a common mistake, is prompt editing in A1111, too.
    ['[cat:1.2]', ['editing [cat:1.2]']],
  ])('is found in %j', (prompt, expected) => {
    expect(found(prompt)).toEqual(expected);
  });

  it.each([
    '[less]',
    '[[even less]]',
    '(cat:1.2)',
    '(cat, [dog]:1.2)',
    '[a:b]',
    '[a:b:c:5]',
    '[a:b:c]',
    'ratio 16:9, [x] at 5',
    '\\[a:b:5\\]',
    '\\[a:b:5]',
    '[a:b:5\\]',
    '[a\\:5]',
    '[a:b:5',
    'a:b:5]',
    '[a (b:5]',
    '[a) b:5]',
    '[(a:b:c):5]',
    // Not in A1111's grammar, which reads the whole text literally.
    'a | b, [c:d:5]',
    '[a:b:5] \\',
  ])('is not found in %j', (prompt) => {
    expect(found(prompt)).toEqual([]);
  });
});

describe('alternation', () => {
  it.each([
    ['[cow|horse]', ['alternation [cow|horse]']],
    ['[fe|||]male', ['alternation [fe|||]']],
    ['[a|(b:1.1)]', ['alternation [a|(b:1.1)]']],
    ['[[a|b]:c:5]', ['editing [[a|b]:c:5]', 'alternation [a|b]']],
  ])('is found in %j', (prompt, expected) => {
    expect(found(prompt)).toEqual(expected);
  });

  it.each(['a|b', '(a|b)', '[a\\|b]', '[a:b|c]', '[a|b:5]', '[a|b', '{a|b}'])(
    'is not found in %j',
    (prompt) => {
      expect(found(prompt)).toEqual([]);
    },
  );
});

describe('AND', () => {
  it('is found as a word in capitals in positive prompts', () => {
    expect(found('a cat AND a dog :0.5')).toEqual(['AND AND']);
    expect(found('a\nAND\nb,AND,c')).toEqual(['AND AND', 'AND AND']);
    expect(found('a cat AND a dog', true)).toEqual([]);
    for (const prompt of ['sand AND_ sky', 'BRAND', 'a and b', 'ÄAND', 'AND1'])
      expect(found(prompt)).toEqual([]);
  });

  it('splits the prompt before its brackets are read', () => {
    expect(found('[a AND b:5]')).toEqual(['AND AND']);
    expect(found('[a:b:5] AND a | b AND [c|d]')).toEqual([
      ...['editing [a:b:5]', 'AND AND', 'AND AND', 'alternation [c|d]'],
    ]);
  });
});

it.each<[string, (n: number) => string]>([
  ['open brackets', (n) => '['.repeat(n)],
  ['closed brackets', (n) => ']'.repeat(n)],
  ['nested brackets', (n) => '['.repeat(n / 2) + ']'.repeat(n / 2)],
  ['nested alternations', (n) => '[|'.repeat(n / 4) + '|]'.repeat(n / 4)],
  ['nested editing', (n) => '[:'.repeat(n / 4) + ':1]'.repeat(n / 4)],
  ['colons', (n) => `[${':'.repeat(n)}`],
  ['digits', (n) => `[a:${'1'.repeat(n)}x]`],
  ['spaces', (n) => `[a:${' '.repeat(n)}x]`],
  ['unclosed networks', (n) => '<lora:'.repeat(n / 6)],
  ['ANDs', (n) => 'AND '.repeat(n / 4)],
  ['backslashes', (n) => '\\'.repeat(n)],
])('takes time proportional to the length of the prompt: %s', (_name, make) => {
  expect(growth(make, (prompt) => void unsupportedSyntax(prompt))).toBeLessThan(6);
});
