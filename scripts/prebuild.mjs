// @ts-check
/**
 * Compiles the binaries of a platform package into prebuilds/PLATFORM, with CMake in .build/prebuild/PLATFORM.
 *
 *   node scripts/prebuild.mjs [PLATFORM] [--werror]
 *
 * PLATFORM is a folder of prebuilds/, by default that of this system. Linux on glibc needs Debian's g++ or g++-aarch64-linux-gnu, musl and Windows need Python
 * with pip, which installs Zig, and macOS and GPU backends for Windows are compiled on these systems. docs/platforms.md
 * describes the binaries.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { root } from './files.mjs';
import { writeStubs } from './prebuild/glibc.mjs';
import { inspect } from './prebuild/inspect.mjs';
import { binaryFile, cmakeSystem, glibcFloor, macosFloor, platforms } from './prebuild/platforms.mjs';
import { fail, run, runMain } from './prebuild/run.mjs';
import { zigTools } from './prebuild/zig.mjs';

const require = createRequire(import.meta.url);
const name = process.argv.slice(2).find((argument) => !argument.startsWith('--')) ?? hostPlatform();
/** Shared by the binaries of the platform. */
const shared = join(root, '.build/prebuild', name);
await runMain(() => {
  const platform = chosenPlatform();
  for (const binary of platform.binaries) build(platform, binary);
});

/** Returns the platform of this system, such as linuxmusl-x64. */
function hostPlatform() {
  const musl = require('detect-libc').familySync() === 'musl';
  return `${process.platform}${musl ? 'musl' : ''}-${process.arch}`;
}

function chosenPlatform() {
  const platform = platforms[name];
  if (!Object.hasOwn(platforms, name) || !platform)
    return fail(`usage: node scripts/prebuild.mjs [${Object.keys(platforms).join('|')}] [--werror]`);
  const builder = platform.compiler === 'host' ? platform.os : 'linux';
  if (process.platform !== builder) fail(`${name} is compiled on ${builder}, received ${process.platform}`);
  return platform;
}

/**
 * Compiles a binary and copies it into the platform's package.
 * @param {import('./prebuild/platforms.mjs').Platform} platform
 * @param {import('./prebuild/platforms.mjs').Platform['binaries'][number]} binary
 */
function build(platform, binary) {
  const folder = binary === 'cpu' ? shared : `${shared}-${binary}`;
  discardForeignCache(folder);
  const variables = {
    CMAKE_BUILD_TYPE: 'Release',
    CMAKE_LIBRARY_OUTPUT_DIRECTORY: join(folder, 'out'),
    CMAKE_JS_INC: `${join(packageFolder('node-api-headers'), 'include')};${packageFolder('node-addon-api')}`,
    SAFELIGHT_WERROR: process.argv.includes('--werror') ? 'ON' : 'OFF',
    ...(binary === 'cpu' ? {} : { [`SAFELIGHT_${binary.toUpperCase()}`]: 'ON' }),
    // ggml would otherwise compile for all generations of GPUs.
    ...(binary === 'cuda' && process.env.CUDAARCHS
      ? { CMAKE_CUDA_ARCHITECTURES: process.env.CUDAARCHS }
      : {}),
    ...compiler(platform),
  };
  const flags = Object.entries(variables).map(([key, value]) => `-D${key}=${value}`);
  run('cmake', ['-S', root, '-B', folder, ...flags], 'configuring');
  const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? `${availableParallelism()}`;
  run('cmake', ['--build', folder, '--config', 'Release', '--target', 'safelight', '-j', jobs], 'compiling');
  const from = ['out/safelight.node', 'out/Release/safelight.node'].map((file) => join(folder, file));
  const to = join(root, 'prebuilds', name, binaryFile(binary));
  install(from.find((file) => existsSync(file)) ?? fail(`the build left no ${from[0]}`), to);
  console.log(`${to}: ${(statSync(to).size / 1e6).toFixed(1)} MB, ${inspect(to, platform)}`);
}

/**
 * Returns the CMake variables that select the compiler.
 * @param {import('./prebuild/platforms.mjs').Platform} platform
 * @returns {Record<string, string>}
 */
function compiler(platform) {
  const { system, processor } = cmakeSystem(platform);
  const { triple } = platform;
  if (platform.compiler === 'gcc') {
    const stubs = join(shared, 'stubs');
    writeStubs(triple, glibcFloor, stubs);
    return {
      CMAKE_TOOLCHAIN_FILE: join(root, 'scripts/prebuild/gcc.cmake'),
      CMAKE_JS_SRC: join(root, 'scripts/prebuild/glibc-shims.c'),
      SAFELIGHT_PROCESSOR: processor,
      SAFELIGHT_TRIPLE: triple,
      SAFELIGHT_STUBS: stubs,
    };
  }
  if (platform.compiler === 'zig') {
    return {
      CMAKE_TOOLCHAIN_FILE: join(root, 'scripts/prebuild/zig.cmake'),
      SAFELIGHT_SYSTEM: system,
      SAFELIGHT_PROCESSOR: processor,
      SAFELIGHT_ZIG: zigTools(triple),
    };
  }
  if (platform.os === 'darwin')
    return {
      CMAKE_SYSTEM_NAME: system, // without it, CMake replaces the processor by that of this machine
      CMAKE_OSX_ARCHITECTURES: triple,
      CMAKE_SYSTEM_PROCESSOR: triple,
      CMAKE_OSX_DEPLOYMENT_TARGET: macosFloor,
    };
  return {};
}

/** Deletes a build folder that was made in another checkout: CMake refuses it. @param {string} folder */
function discardForeignCache(folder) {
  const cache = join(folder, 'CMakeCache.txt');
  if (!existsSync(cache)) return;
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, 'utf8'))?.[1];
  if (home !== root) rmSync(folder, { recursive: true, force: true });
}

/** @param {string} packageName */
function packageFolder(packageName) {
  return dirname(require.resolve(`${packageName}/package.json`));
}

/**
 * Replaces a file by renaming, because a running process may have the old one mapped.
 * @param {string} from
 * @param {string} to
 */
function install(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, `${to}.new`);
  renameSync(`${to}.new`, to);
}
