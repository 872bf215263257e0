// @ts-check
/**
 * Compiles the addon with cmake-js and puts it where node-gyp-build looks: build/Release/safelight.node. Called by `npm run
 * build:native`, by binding.gyp (prebuildify) and by `safelight build` in an installed package, so it needs no dev dependency.
 *
 *   node scripts/build-native.mjs [--cpu|--cuda|--metal|--vulkan] [--werror]
 *
 * CMake works in .build/BACKEND, which node-gyp does not clean: a second build compiles only what changed. Without a backend
 * the one built last is built again.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { root } from './files.mjs';

const backends = ['cpu', 'cuda', 'metal', 'vulkan'];
const lastBackend = join(root, '.build/backend');
const chosen = backends.find((name) => process.argv.includes(`--${name}`));
const backend = chosen ?? (existsSync(lastBackend) ? readFileSync(lastBackend, 'utf8') : 'cpu');
const folder = join(root, '.build', backend);

const flags = [
  ...(backend === 'cpu' ? [] : [`--CDSAFELIGHT_${backend.toUpperCase()}=ON`]),
  `--CDSAFELIGHT_WERROR=${process.argv.includes('--werror') ? 'ON' : 'OFF'}`,
];

discardForeignCache();
const built = join(folder, 'Release/safelight.node');
if (!existsSync(join(folder, 'CMakeCache.txt')) || flagsChanged()) cmakeJs('configure', ...flags);
cmakeJs('build', '-p', String(availableParallelism()));
install(built, join(root, 'build/Release/safelight.node'));
install(join(folder, 'compile_commands.json'), join(root, 'build/compile_commands.json'));
writeFileSync(join(folder, '.flags'), flags.join(' '));
writeFileSync(lastBackend, backend);

/** @param {string} command @param {string[]} args */
function cmakeJs(command, ...args) {
  const program = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');
  const all = [program, command, '-d', root, '-O', folder, '-l', 'warn', ...args];
  const { status, error } = spawnSync(process.execPath, all, { cwd: root, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

/** A cache made for another place (a moved or copied folder) stops CMake: start anew. */
function discardForeignCache() {
  const cache = join(folder, 'CMakeCache.txt');
  if (!existsSync(cache)) return;
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, 'utf8'))?.[1];
  if (home !== root) rmSync(folder, { recursive: true, force: true });
}

function flagsChanged() {
  const note = join(folder, '.flags');
  return !existsSync(note) || readFileSync(note, 'utf8') !== flags.join(' ');
}

/**
 * By renaming, because a running process may have the old file mapped.
 * @param {string} from @param {string} to
 */
function install(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, `${to}.new`);
  renameSync(`${to}.new`, to);
}
