// @ts-check
/**
 * Compiles the addon with cmake-js and copies it to where lib/binding loads it from: build/Release/safelight.node, or for a
 * GPU backend build/gpu/safelight-BACKEND.node. Separate files keep the CPU addon independent of GPU libraries. Called by
 * `npm run build:native`, by binding.gyp (prebuildify) and by `safelight build` in an installed package; the last is why it
 * must not use dev dependencies.
 *
 *   node scripts/build-native.mjs [--cpu|--cuda|--metal|--vulkan] [--werror]
 *
 * CMake builds in .build/BACKEND. node-gyp does not clean that folder, so a second build compiles only what changed.
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
  // Passed on because ggml overrides CMAKE_CUDA_ARCHITECTURES with a list of all GPU generations: hours of nvcc.
  ...(backend === 'cuda' && process.env.CUDAARCHS
    ? [`--CDCMAKE_CUDA_ARCHITECTURES=${process.env.CUDAARCHS}`]
    : []),
  `--CDSAFELIGHT_WERROR=${process.argv.includes('--werror') ? 'ON' : 'OFF'}`,
];

discardForeignCache();
const built = join(folder, 'Release/safelight.node');
if (!existsSync(join(folder, 'CMakeCache.txt')) || flagsChanged()) cmakeJs('configure', ...flags);
cmakeJs('build', '-p', String(availableParallelism()));
// GPU addons have another folder than the CPU addon because node-gyp-build loads the first .node file of a folder.
install(
  built,
  join(root, backend === 'cpu' ? 'build/Release/safelight.node' : `build/gpu/safelight-${backend}.node`),
);
const testDevice = join(folder, 'Release/safelight-test-device.node');
// Named like a GPU backend, so that test/gpu can load it through SAFELIGHT_GPU_BINARIES.
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

/** Deletes the build folder if it was moved or copied: CMake refuses a cache with another source path. */
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
 * Replaces a file by renaming, because a running process may have the old one mapped.
 * @param {string} from @param {string} to
 */
function install(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, `${to}.new`);
  renameSync(`${to}.new`, to);
}
