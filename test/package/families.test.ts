import { describe, expect, it } from 'vitest';
import { familyViolations } from '../../scripts/check-families.mjs';
import { root } from '../../scripts/files.mjs';
import { packageOf } from '../support/temporary-package.js';

const SD9 = { 'lib/families/sd9.ts': `export const sd9 = family({ name: 'sd9', label: 'Nine' });` };

describe('the lint rule of model families', () => {
  it('accepts this package', () => {
    expect(familyViolations(root)).toEqual([]);
  });

  it('rejects a branch on the name of a family outside lib/families', () => {
    const folder = packageOf({
      ...SD9,
      'lib/pipelines/a.ts': `export const twice = (family: string) => family === 'sd9';`,
    });
    expect(familyViolations(folder)).toEqual([
      expect.stringContaining(`lib/pipelines/a.ts:1 names the family 'sd9'`),
    ]);
  });

  it('accepts names of families in lib/families and in comments, and longer words', () => {
    const folder = packageOf({
      ...SD9,
      'lib/families/shared/b.ts': `export const name = 'sd9';`,
      'lib/pipelines/c.ts': `// the family 'sd9'\nexport const d = 'sd90';`,
    });
    expect(familyViolations(folder)).toEqual([]);
  });

  it('rejects a file of lib/families that defines no family', () => {
    const folder = packageOf({ ...SD9, 'lib/families/helper.ts': 'export const help = 1;' });
    expect(familyViolations(folder)).toEqual([
      expect.stringContaining('lib/families/helper.ts defines 0 families'),
    ]);
  });
});
