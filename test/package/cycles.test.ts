import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { crowdedFolders, cycles } from '../../scripts/check-cycles.mjs';
import { packageOf } from '../support/temporary-package.js';

it('accepts two files that import a third one', () => {
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
    'of type imports',
    { 'lib/a.ts': `import type { B } from './b.js';`, 'lib/b.ts': `import type { A } from './a.js';` },
    'lib/a.ts -> lib/b.ts -> lib/a.ts',
  ],
  [
    'that spans folders and contains a dynamic import',
    {
      'lib/x/a.ts': `import '../y/b.js';`,
      'lib/y/b.ts': `import './c.js';`,
      'lib/y/c.ts': `export const a = () => import('../x/a.js');`,
    },
    'lib/x/a.ts -> lib/y/b.ts -> lib/y/c.ts -> lib/x/a.ts',
  ],
  ['of a file that imports itself', { 'lib/a.ts': `import './a.js';` }, 'lib/a.ts -> lib/a.ts'],
  [
    'of TSX files',
    {
      'web/src/a.tsx': `import { B } from './views/b.js';`,
      'web/src/views/b.tsx': `import { A } from '../a.js';`,
    },
    'web/src/a.tsx -> web/src/views/b.tsx -> web/src/a.tsx',
  ],
  [
    'of headers that are included by relative paths and by paths from native/',
    { 'native/nn/a.h': '#include "b.h"', 'native/nn/b.h': '  # include "nn/a.h"' },
    'native/nn/a.h -> native/nn/b.h -> native/nn/a.h',
  ],
])('reports a cycle %s', (_name, files, expected) => {
  expect(cycles(packageOf(files as Record<string, string>))).toEqual([`import cycle: ${expected}`]);
});

it('reports the shortest cycle of each strongly connected component', () => {
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

it('counts the source files of a folder without its subfolders, and only with --max-files', () => {
  const files: Record<string, string> = { 'lib/x/notes.md': '', 'lib/x/deep/z.ts': '' };
  for (let i = 0; i < 22; i++) files[`lib/x/f${i}.ts`] = '';
  const folder = packageOf(files);
  expect(crowdedFolders(folder)).toEqual([]);
  writeFileSync(join(folder, 'lib/x/one-more.ts'), '');
  expect(crowdedFolders(folder)).toEqual([
    'lib/x/ contains 23 source files; at most 22 are accepted. Divide it by subject',
  ]);
  expect(crowdedFolders(folder, 23)).toEqual([]);
  const script = fileURLToPath(new URL('../../scripts/check-cycles.mjs', import.meta.url));
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [script, folder, ...args], { encoding: 'utf8' });
  expect(run().status).toBe(0);
  expect(run('--max-files')).toMatchObject({ status: 1, stderr: expect.stringContaining('23 source files') });
  expect(run('--max-files=23').status).toBe(0);
});
