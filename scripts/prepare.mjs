// @ts-check
/**
 * npm's `prepare` script. npm runs it after `npm ci` in a clone, before `npm pack`, and at the first `npx safelight` in a
 * clone, but not when the published tarball is installed. Builds dist/ from lib/, the web page in dist/web from web/ and the
 * addon from native/. Each is skipped if a hash of its sources equals that of the last build.
 *
 *   node scripts/prepare.mjs [--only=types|native]
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
import { bundle } from './bundle.mjs';
import { fingerprint, lockedIntegrity, root, walk } from './files.mjs';

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const only = process.argv.find((argument) => argument.startsWith('--only='))?.slice('--only='.length);

try {
  if (only !== 'native') await buildTypes();
  if (only !== 'native') await buildWeb();
  if (only !== 'types') buildAddon();
} catch (error) {
  console.error(`safelight prepare: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
}

async function buildTypes() {
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  if (!existsSync(compiler)) {
    console.error(
      'safelight prepare: TypeScript is not installed (npm ci --omit=dev?); dist/ is not updated.',
    );
    return;
  }
  const state = fingerprint(
    [
      ...walk(join(root, 'lib')),
      ...['package-lock.json', 'tsconfig.json', 'scripts/bundle.mjs', 'scripts/commonjs.mjs'].map((file) =>
        join(root, file),
      ),
    ],
    [],
  );
  const stamp = join(root, '.build/.types');
  if (read(stamp) === state && existsSync(join(root, 'dist/index.js'))) return;
  // Deletes everything first, so that files removed from lib/ are removed from the package too.
  for (const name of existsSync(join(root, 'dist')) ? readdirSync(join(root, 'dist')) : []) {
    if (name !== 'web') rmSync(join(root, 'dist', name), { recursive: true, force: true });
  }
  const types = join(root, '.build/lib');
  rmSync(types, { recursive: true, force: true });
  run(process.execPath, [compiler, '-p', 'tsconfig.json'], 'TypeScript reported the errors above');
  await bundle(types);
  // npm sets the mode only once, when it links the command, and this is a new file.
  for (const command of Object.values(manifest.bin)) chmodSync(join(root, String(command)), 0o755);
  write(stamp, state);
}

/** Builds the web page in dist/web, with a Brotli and a gzip file next to each asset, which the server sends unchanged. */
async function buildWeb() {
  const vite = join(root, 'node_modules/vite/package.json');
  if (!existsSync(vite)) {
    console.error('safelight prepare: Vite is not installed (npm ci --omit=dev?); dist/web is not updated.');
    return;
  }
  // The web page imports a few files of these folders. Hashing the whole folders is simpler than listing the files.
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
  // The tarball contains no addon.
  if (process.env.npm_command === 'pack' || process.env.npm_command === 'publish') return;
  const sources = walk(join(root, 'native'));
  for (const file of ['CMakeLists.txt', 'test/gpu/test_device.cpp']) sources.push(...walk(join(root, file)));
  const pinned = ['ggml-source', 'node-addon-api', 'cmake-js'].map(lockedIntegrity);
  const state = fingerprint(sources, [...pinned, manifest.version, process.platform, process.arch]);
  const stamp = join(root, '.build/.addon');
  const built = walk(join(root, 'build/Release'), (file) => file.endsWith('.node'));
  if (read(stamp) === state && built.length > 0) return;
  restoreTimes('ggml-source', 'cpp/whisper.cpp/ggml');
  restoreTimes('node-addon-api', '.');
  run(
    'npm',
    ['run', '--silent', 'build:native'],
    'the addon could not be built. A C++20 compiler (GCC 12, Clang 15 or newer) and CMake 3.25 or newer must be on the PATH',
  );
  write(stamp, state);
}

/**
 * Restores the modification times that a package's files had before the first build, as long as the lock file pins the same
 * package. npm sets the times of all files that it unpacks to the present, so each `npm ci` would recompile all of ggml.
 * @param {string} name
 * @param {string} folder
 */
function restoreTimes(name, folder) {
  const files = walk(join(root, 'node_modules', name, folder));
  if (files.length === 0) throw new Error(`${name} is not installed. Run npm ci`);
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
    // stdout may belong to a caller that parses it, such as `npx safelight ... --json`.
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
