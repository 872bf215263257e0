// @ts-check
/**
 * npm's `prepare`: after `npm ci` in a clone, before `npm pack`, and again at the first `npx safelight` in a clone. Builds
 * dist/ from lib/, the page in dist/web from web/ and the addon from native/, each only when its sources differ from those of the last build, so
 * that the second and third call cost a hash. npm never runs it where the published tarball is installed.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { writeCommonJs } from './commonjs.mjs';
import { fingerprint, lockedIntegrity, root, walk } from './files.mjs';

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const only = process.argv.find((argument) => argument.startsWith('--only='))?.slice('--only='.length);

try {
  if (only !== 'native') buildTypes();
  if (only !== 'native') await buildWeb();
  if (only !== 'types') buildAddon();
} catch (error) {
  console.error(`safelight prepare: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
}

function buildTypes() {
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  if (!existsSync(compiler)) {
    console.error(
      'safelight prepare: TypeScript is not installed (npm ci --omit=dev?); dist/ is left as it is.',
    );
    return;
  }
  const state = fingerprint(
    [
      ...walk(join(root, 'lib')),
      ...['tsconfig.json', 'scripts/commonjs.mjs'].map((file) => join(root, file)),
    ],
    [lockedIntegrity('typescript')],
  );
  const stamp = join(root, '.build/.types');
  if (read(stamp) === state && existsSync(join(root, 'dist/index.js'))) return;
  // From nothing, so that a file that left lib/ leaves the package too.
  for (const name of existsSync(join(root, 'dist')) ? readdirSync(join(root, 'dist')) : []) {
    if (name !== 'web') rmSync(join(root, 'dist', name), { recursive: true, force: true });
  }
  run(process.execPath, [compiler, '-p', 'tsconfig.json'], 'the types above do not check');
  for (const entry of ['index.js', 'ai/index.js']) writeCommonJs(join(root, 'dist', entry));
  // npm does so once, when it links the command; this file is another one.
  for (const command of Object.values(manifest.bin)) chmodSync(join(root, String(command)), 0o755);
  write(stamp, state);
}

/** The page, in dist/web: each file beside its compressed forms, which the server sends as they are. */
async function buildWeb() {
  const vite = join(root, 'node_modules/vite/package.json');
  if (!existsSync(vite)) {
    console.error(
      'safelight prepare: Vite is not installed (npm ci --omit=dev?); dist/web is left as it is.',
    );
    return;
  }
  // The page shares a few files of lib/ that are pure TypeScript; the whole of it costs no more to look at.
  const sources = [
    ...walk(join(root, 'web')),
    ...['conditioning', 'image', 'jobs', 'options', 'tensor'].flatMap((folder) =>
      walk(join(root, 'lib', folder)),
    ),
  ];
  const pinned = ['vite', 'preact', '@preact/signals', 'typescript'].map(lockedIntegrity);
  const state = fingerprint(sources, pinned);
  const stamp = join(root, '.build/.web');
  if (read(stamp) === state && existsSync(join(root, 'dist/web/index.html'))) return;
  const { build } = await import('vite');
  await build({ root: join(root, 'web'), configFile: join(root, 'web/vite.config.ts'), logLevel: 'warn' });
  for (const file of walk(join(root, 'dist/web/assets'), (name) => /\.(?:js|css|svg)$/.test(name))) {
    const content = readFileSync(file);
    writeFileSync(`${file}.br`, brotliCompressSync(content));
    writeFileSync(`${file}.gz`, gzipSync(content, { level: 9 }));
  }
  write(stamp, state);
}

function buildAddon() {
  // Packing takes prebuilds/, not build/; and while it runs, ggml's source lies in two places.
  if (process.env.npm_command === 'pack' || process.env.npm_command === 'publish') return;
  const sources = [...walk(join(root, 'native'), (file) => !file.startsWith(join(root, 'native/ggml/')))];
  for (const file of ['CMakeLists.txt', 'binding.gyp', 'test/gpu/test_device.cpp'])
    sources.push(...walk(join(root, file)));
  const pinned = ['ggml-source', 'node-addon-api', 'cmake-js'].map(lockedIntegrity);
  const state = fingerprint(sources, [...pinned, manifest.version, process.platform, process.arch]);
  const stamp = join(root, '.build/.addon');
  const built = walk(join(root, 'build/Release'), (file) => file.endsWith('.node'));
  if (read(stamp) === state && built.length > 0) return;
  keepDates('ggml-source', 'cpp/whisper.cpp/ggml');
  keepDates('node-addon-api', '.');
  run(
    'npm',
    ['run', '--silent', 'build:native'],
    'the addon did not build; it needs a C++20 compiler (GCC 12, Clang 15 or newer) and CMake 3.25 or newer on the PATH',
  );
  write(stamp, state);
}

/**
 * npm dates every file it unpacks with the present, which would make each `npm ci` compile all of ggml again. The contents are pinned by
 * the lock file: while it names the same package, its files get back the date that they had before the first build.
 * @param {string} name
 * @param {string} folder
 */
function keepDates(name, folder) {
  const files = walk(join(root, 'node_modules', name, folder));
  if (files.length === 0) throw new Error(`${name} is not installed; run npm ci`);
  const note = join(root, `.build/.dates-${name}`);
  const [integrity, seconds] = (read(note) ?? '').split(' ');
  if (integrity === lockedIntegrity(name)) {
    for (const file of files) utimesSync(file, Number(seconds), Number(seconds));
  } else {
    const newest = Math.max(...files.map((file) => statSync(file).mtimeMs));
    write(note, `${lockedIntegrity(name)} ${Math.floor(newest / 1000)}`);
  }
}

/** @param {string} command @param {string[]} args @param {string} failure */
function run(command, args, failure) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    // stdout belongs to whoever called: `npx safelight ... --json` may have started this.
    stdio: ['ignore', process.stderr, process.stderr],
    shell: process.platform === 'win32' && command === 'npm',
  });
  if (error) throw error;
  if (status !== 0) throw new Error(failure);
}

/** @param {string} file */
function read(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

/** @param {string} file @param {string} text */
function write(file, text) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
