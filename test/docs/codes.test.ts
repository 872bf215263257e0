/** docs/typescript.md lists every code of errors and warnings, in the order of the source. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root } from '../package/npm.js';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const codesIn = (text: string, pattern: RegExp): (string | undefined)[] =>
  [...text.matchAll(pattern)].map(([, code]) => code);

it.each([
  ['Errors', 'lib/errors.ts'],
  ['Warnings', 'lib/warnings.ts'],
])('lists the codes of %s that %s declares', (heading, source) => {
  const section = read('docs/typescript.md')
    .split(/^## /m)
    .find((part) => part.startsWith(`${heading}\n`));
  const declared = codesIn(read(source), /^ {2}\| '([A-Z_]+)'/gm);
  expect(declared.length).toBeGreaterThan(5);
  expect(codesIn(section ?? '', /^\| `([A-Z_]+)` \|/gm)).toEqual(declared);
});
