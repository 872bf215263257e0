import { describe, expect, it } from 'vitest';
import { proseViolations } from '../../scripts/check-prose.mjs';
import { root } from '../../scripts/files.mjs';
import { packageOf } from '../support/temporary-package.js';

describe('the lint rule of prose', () => {
  it('accepts this package', () => {
    expect(proseViolations(root)).toEqual([]);
  });

  it.each([
    [
      'a docstring on one line',
      'lib/a.ts',
      '/** Whether it fits. */\nexport const fits = true;',
      'lib/a.ts:1',
      'Whether',
    ],
    ['a docstring on several lines', 'lib/a.ts', '/**\n * Of a model, its name.\n */', 'lib/a.ts:2', 'Of'],
    ['a comment of a test', 'test/a.test.ts', '// Nothing remains.', 'test/a.test.ts:1', 'Nothing'],
    ['an indented comment', 'native/a.h', 'int a;\n    // What it holds.\n', 'native/a.h:2', 'What'],
    [
      'the description of a parameter',
      'web/src/a.tsx',
      '/**\n * Adds.\n * @param a Which one\n */',
      'web/src/a.tsx:3',
      'Which',
    ],
  ])('rejects an opening question word in %s', (_, path, text, place, word) => {
    const [violation, ...rest] = proseViolations(packageOf({ [path]: text }));
    expect(violation).toMatch(new RegExp(`^${place} opens with "${word}"`));
    expect(rest).toEqual([]);
  });

  it('accepts such a word on a later line of a comment and in code', () => {
    const text = `/**\n * Returns the name.\n * Where it has none, null.\n */\nconst Where = 'Which';\n// Adds a\n// Of b`;
    expect(proseViolations(packageOf({ 'lib/a.ts': text }))).toEqual([]);
  });

  it('rejects "picture" in messages, identifiers and pages, but not in tests or as a field of the HTTP API', () => {
    const lines = [
      "throw new Error('no picture');",
      'const pictureOf = 1;',
      "const body = { type: 'inside', picture: 0 };",
    ];
    expect(proseViolations(packageOf({ 'lib/a.ts': lines.join('\n') }))).toEqual([
      'lib/a.ts:1 says "picture": write "image"',
      'lib/a.ts:2 says "picture": write "image"',
    ]);
    expect(proseViolations(packageOf({ 'docs/a.md': 'A picture.' }))).toEqual([
      'docs/a.md:1 says "picture": write "image"',
    ]);
    expect(proseViolations(packageOf({ 'test/a.test.ts': "const path = 'picture.png';" }))).toEqual([]);
  });
});
