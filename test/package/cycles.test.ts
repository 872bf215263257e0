import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { crowdedFolders, cycles } from '../../scripts/check-cycles.mjs';

const made: string[] = [];
afterEach(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true });
});

/** A package of these files: path -> text. */
function packageOf(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-cycles-'));
  made.push(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

it('accepts imports that come together again without a circle', () => {
  const folder = packageOf({
    'lib/a.ts': `import './b.js';\nimport './c.js';`,
    'lib/b.ts': `import { d } from './deep/d.js';`,
    'lib/c.ts': `import { d } from './deep/d.js';\n// import './a.js';`,
    'lib/deep/d.ts': `import sharp from 'sharp';\nimport './missing.js';`,
    'native/x.h': '#include "y.h"\n#include <x.h.in>',
    'native/y.h': '#include <vector>',
    'web/src/main.tsx': `import { a } from '../../lib/a.js';`,
  });
  expect(cycles(folder)).toEqual([]);
});

it.each([
  [
    'of two files',
    { 'lib/a.ts': `import { b } from './b.js';`, 'lib/b.ts': `export * from './a.js';` },
    'lib/a.ts -> lib/b.ts -> lib/a.ts',
  ],
  [
    'of types alone',
    { 'lib/a.ts': `import type { B } from './b.js';`, 'lib/b.ts': `import type { A } from './a.js';` },
    'lib/a.ts -> lib/b.ts -> lib/a.ts',
  ],
  [
    'closed by a dynamic import, over folders',
    {
      'lib/x/a.ts': `import '../y/b.js';`,
      'lib/y/b.ts': `import './c.js';`,
      'lib/y/c.ts': `export const a = () => import('../x/a.js');`,
    },
    'lib/x/a.ts -> lib/y/b.ts -> lib/y/c.ts -> lib/x/a.ts',
  ],
  ['of a file with itself', { 'lib/a.ts': `import './a.js';` }, 'lib/a.ts -> lib/a.ts'],
  [
    'of components',
    {
      'web/src/a.tsx': `import { B } from './views/b.js';`,
      'web/src/views/b.tsx': `import { A } from '../a.js';`,
    },
    'web/src/a.tsx -> web/src/views/b.tsx -> web/src/a.tsx',
  ],
  [
    'of headers, by either way to write a path',
    { 'native/nn/a.h': '#include "b.h"', 'native/nn/b.h': '  # include "nn/a.h"' },
    'native/nn/a.h -> native/nn/b.h -> native/nn/a.h',
  ],
])('reports a cycle %s', (_name, files, expected) => {
  expect(cycles(packageOf(files as Record<string, string>))).toEqual([`import cycle: ${expected}`]);
});

it('shows the shortest cycle of a tangle, and one of each', () => {
  const folder = packageOf({
    'lib/a.ts': `import './b.js';`,
    'lib/b.ts': `import './c.js';`,
    'lib/c.ts': `import './a.js';\nimport './d.js';`,
    'lib/d.ts': `import './c.js';`,
    'lib/y.ts': `import './z.js';\nimport './a.js';`,
    'lib/z.ts': `import './y.js';`,
  });
  expect(cycles(folder).sort()).toEqual([
    'import cycle: lib/c.ts -> lib/d.ts -> lib/c.ts',
    'import cycle: lib/y.ts -> lib/z.ts -> lib/y.ts',
  ]);
});

it('counts the source files of a folder itself, and only where it is asked to', () => {
  const files: Record<string, string> = { 'lib/x/notes.md': '', 'lib/x/deep/z.ts': '' };
  for (let i = 0; i < 22; i++) files[`lib/x/f${i}.ts`] = '';
  const folder = packageOf(files);
  expect(crowdedFolders(folder)).toEqual([]);
  writeFileSync(join(folder, 'lib/x/one-more.ts'), '');
  expect(crowdedFolders(folder)).toEqual([
    'lib/x/ holds 23 source files, more than 22; divide it by subject',
  ]);
  expect(crowdedFolders(folder, 23)).toEqual([]);
  const script = fileURLToPath(new URL('../../scripts/check-cycles.mjs', import.meta.url));
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [script, folder, ...args], { encoding: 'utf8' });
  expect(run().status).toBe(0);
  expect(run('--max-files')).toMatchObject({ status: 1, stderr: expect.stringContaining('23 source files') });
  expect(run('--max-files=23').status).toBe(0);
});
