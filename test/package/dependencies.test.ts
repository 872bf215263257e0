import { expect, it } from 'vitest';
import { importsOf, violations } from '../../scripts/check-dependencies.mjs';
import { packageOf } from '../support/temporary-package.js';

it('accepts imports of lower layers, of the same folder and of errors.ts', () => {
  const folder = packageOf({
    'lib/index.ts': `export * from './pipelines/a.js';`,
    'lib/errors.ts': '',
    'lib/pipelines/a.ts': `import { b } from '../sampling/b.js';\nimport { SafelightError } from '../errors.js';\nimport x from 'sharp';`,
    'lib/sampling/b.ts': `import { c } from './deep/c.js';\nimport { t } from '../tensor/t.js';\nimport type { C } from '../checkpoint/config.js';`,
    'native/addon/a.cpp': '#include "napi.h"\n#include "models/m.h"\n#include "runtime/r.h"',
    'native/models/m.h': '#include "../runtime/r.h"\n#include "ggml.h"\n#include <vector>',
    'native/runtime/r.h': '',
    'native/runtime/platform/posix/f.cpp': '#include <sys/mman.h>',
    'native/kernels/platform/windows/f.cpp': '#include <windows.h>',
  });
  expect(violations(folder)).toEqual([]);
});

it.each([
  [
    'of a higher layer',
    'lib/tensor/t.ts',
    `import { p } from '../pipelines/p.js';`,
    'tensor is below pipelines',
  ],
  ['of the same layer', 'lib/sampling/s.ts', `import { U } from '../modules/unet.js';`, 'same layer'],
  [
    'of types of the same layer',
    'lib/sampling/s.ts',
    `import type { U } from '../modules/unet.js';`,
    'same layer',
  ],
  [
    'that spans several lines',
    'lib/tokenizers/w.ts',
    `import {\n  a,\n  type B,\n} from '../conditioning/chunks.js';`,
    'tokenizers is below conditioning',
  ],
  [
    'in a re-export',
    'lib/binding/n.ts',
    `export * from '../checkpoint/w.js';`,
    'binding is below checkpoint',
  ],
  [
    'that is dynamic',
    'lib/modules/m.ts',
    `const p = await import('../cli/main.js');`,
    'modules is below cli',
  ],
  ['of the root', 'lib/cli/c.ts', `import { x } from '../index.js';`, 'public exports'],
  ['from an unknown folder', 'lib/odds/o.ts', `import { x } from '../tensor/t.js';`, 'no layer'],
])('rejects an import %s', (_name, file, text, reason) => {
  const found = violations(packageOf({ [file]: text }));
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(file);
  expect(found[0]).toContain(reason);
});

it.each([
  [
    'of a higher layer',
    { 'native/runtime/r.cpp': '#include "nn/linear.h"', 'native/nn/linear.h': '' },
    'runtime is below nn',
  ],
  [
    'of the same layer',
    { 'native/kernels/k.cpp': '#include "../runtime/graph.h"', 'native/runtime/graph.h': '' },
    'same layer',
  ],
  [
    "of Node's headers outside native/addon",
    { 'native/models/m.cpp': '#include <napi.h>' },
    'only native/addon may use',
  ],
  [
    'of a system outside the folders platform/',
    { 'native/runtime/weights/w.cpp': '#include <sys/mman.h>' },
    'only the folders platform/',
  ],
  ['of Windows in a shared file', { 'native/runtime/platform/p.h': '#include <windows.h>' }, 'platform/'],
])('rejects an include %s', (_name, files, reason) => {
  const found = violations(packageOf(files as Record<string, string>));
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(reason);
});

it('reads all forms of import and ignores comments', () => {
  const text = `
    import './a.js';
    import b, { type C } from "./b.js";
    import type { D } from './d.js';
    export { e } from './e.js';
    // import './f.js';
    /* import './g.js'; */
    const h = await import('./h.js');
    import * as i from './i.js';`;
  expect(importsOf(text).map(({ specifier }) => specifier)).toEqual([
    './a.js',
    './b.js',
    './d.js',
    './e.js',
    './h.js',
    './i.js',
  ]);
  expect(importsOf(text)[2]?.typeOnly).toBe(true);
});
