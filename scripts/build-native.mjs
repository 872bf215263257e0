// @ts-check
/**
 * Compiles the addon with cmake-js and puts it where lib/binding looks: build/Release/safelight.node, and for a GPU backend
 * build/gpu/safelight-BACKEND.node, so that the CPU's never depends on a GPU's libraries. Called by `npm run
 * build:native`, by binding.gyp (prebuildify) and by `safelight build` in an installed package, so it needs no dev dependency.
 *
 *   node scripts/build-native.mjs [--cpu|--cuda|--metal|--vulkan] [--werror]
 *
 * CMake works in .build/BACKEND, which node-gyp does not clean: a second build compiles only what changed.
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
const backend = backends.find((name) => process.argv.includes(`--${name}`)) ?? 'cpu';
const folder = join(root, '.build', backend);

const flags = [
  ...(backend === 'cpu' ? [] : [`--CDSAFELIGHT_${backend.toUpperCase()}=ON`]),
  // CMake's own variable for it, which ggml overrides with a list of every generation: hours of nvcc.
  ...(backend === 'cuda' && process.env.CUDAARCHS
    ? [`--CDCMAKE_CUDA_ARCHITECTURES=${process.env.CUDAARCHS}`]
    : []),
  `--CDSAFELIGHT_WERROR=${process.argv.includes('--werror') ? 'ON' : 'OFF'}`,
];

discardForeignCache();
const built = join(folder, 'Release/safelight.node');
if (!existsSync(join(folder, 'CMakeCache.txt')) || flagsChanged()) cmakeJs('configure', ...flags);
cmakeJs('build', '-p', String(availableParallelism()));
// Not beside the CPU's: node-gyp-build takes the first of a folder.
install(
  built,
  join(root, backend === 'cpu' ? 'build/Release/safelight.node' : `build/gpu/safelight-${backend}.node`),
);
const testDevice = join(folder, 'Release/safelight-test-device.node');
// Under a GPU backend's name in a folder of its own: test/gpu finds it through SAFELIGHT_GPU_BINARIES.
if (existsSync(testDevice)) install(testDevice, join(root, 'build/test-device/safelight-vulkan.node'));
if (backend === 'cpu')
  install(join(folder, 'compile_commands.json'), join(root, 'build/compile_commands.json'));
writeFileSync(join(folder, '.flags'), flags.join(' '));

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
