import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { familyViolations } from '../../scripts/check-families.mjs';
import { root } from '../../scripts/files.mjs';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** A package with these files. */
function packageOf(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-families-'));
  folders.push(folder);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

const SD9 = { 'lib/families/sd9.ts': `export const sd9 = family({ name: 'sd9', label: 'Nine' });` };

describe('the lint rule of model families', () => {
  it('finds nothing to refuse in this package', () => {
    expect(familyViolations(root)).toEqual([]);
  });

  it('refuses a branch on the name of a family outside of lib/families', () => {
    const folder = packageOf({
      ...SD9,
      'lib/pipelines/a.ts': `export const twice = (family: string) => family === 'sd9';`,
    });
    expect(familyViolations(folder)).toEqual([
      expect.stringContaining(`lib/pipelines/a.ts:1 names the family 'sd9'`),
    ]);
  });

  it('lets families, comments and other words be', () => {
    const folder = packageOf({
      ...SD9,
      'lib/families/shared/b.ts': `export const name = 'sd9';`,
      'lib/pipelines/c.ts': `// the family 'sd9'\nexport const d = 'sd90';`,
    });
    expect(familyViolations(folder)).toEqual([]);
  });

  it('refuses a file beside the families that is none', () => {
    const folder = packageOf({ ...SD9, 'lib/families/helper.ts': 'export const help = 1;' });
    expect(familyViolations(folder)).toEqual([
      expect.stringContaining('lib/families/helper.ts defines 0 families'),
    ]);
  });
});
