// @ts-check
/**
 * Platforms with a package of prebuilt binaries in prebuilds/PLATFORM, and how each is compiled.
 *
 * @typedef {object} Platform
 * @property {'linux' | 'darwin' | 'win32'} os
 * @property {'x64' | 'arm64'} arch
 * @property {'gcc' | 'zig' | 'host'} compiler `gcc` is Debian's GCC (a cross compiler for another processor), `zig` is Zig's
 *   Clang with its own C and C++ libraries, `host` is the system's compiler
 * @property {string} triple target in the compiler's notation
 * @property {('cpu' | 'metal' | 'cuda' | 'vulkan')[]} binaries each is a separate file, see `binaryFile`
 */

/** Newest glibc version whose symbols a Linux binary may use: that of Debian 10, RHEL 8 and Node.js's own binaries. */
export const glibcFloor = '2.28';

/** Oldest macOS that the binaries load on: that of Node.js 22. */
export const macosFloor = '11.0';

const linux64 = /** @type {const} */ ({
  os: 'linux',
  arch: 'x64',
  compiler: 'gcc',
  triple: 'x86_64-linux-gnu',
});
const windows64 = /** @type {const} */ ({
  os: 'win32',
  arch: 'x64',
  compiler: 'zig',
  triple: 'x86_64-windows-gnu',
});

/** @type {Record<string, Platform>} */
export const platforms = {
  'linux-x64': { ...linux64, binaries: ['cpu'] },
  'linux-arm64': {
    os: 'linux',
    arch: 'arm64',
    compiler: 'gcc',
    triple: 'aarch64-linux-gnu',
    binaries: ['cpu'],
  },
  'linuxmusl-x64': {
    os: 'linux',
    arch: 'x64',
    compiler: 'zig',
    triple: 'x86_64-linux-musl',
    binaries: ['cpu'],
  },
  'linuxmusl-arm64': {
    os: 'linux',
    arch: 'arm64',
    compiler: 'zig',
    triple: 'aarch64-linux-musl',
    binaries: ['cpu'],
  },
  'darwin-arm64': {
    os: 'darwin',
    arch: 'arm64',
    compiler: 'host',
    triple: 'arm64',
    binaries: ['cpu', 'metal'],
  },
  'darwin-x64': { os: 'darwin', arch: 'x64', compiler: 'host', triple: 'x86_64', binaries: ['cpu'] },
  'win32-x64': { ...windows64, binaries: ['cpu'] },
  'win32-arm64': {
    os: 'win32',
    arch: 'arm64',
    compiler: 'zig',
    triple: 'aarch64-windows-gnu',
    binaries: ['cpu'],
  },
  'linux-x64-cuda': { ...linux64, binaries: ['cuda'] },
  'linux-x64-vulkan': { ...linux64, binaries: ['vulkan'] },
  // NVIDIA's compiler on Windows accepts only MSVC, and the Vulkan SDK is installed there: built on a Windows machine.
  'win32-x64-cuda': { ...windows64, compiler: 'host', binaries: ['cuda'] },
  'win32-x64-vulkan': { ...windows64, compiler: 'host', binaries: ['vulkan'] },
};

/** Returns the file name of a binary, which lib/binding loads. @param {string} binary */
export const binaryFile = (binary) => (binary === 'cpu' ? 'safelight.node' : `safelight-${binary}.node`);

/** Returns CMake's names of the system and the processor. @param {Platform} platform */
export function cmakeSystem({ os, arch }) {
  const system = { linux: 'Linux', darwin: 'Darwin', win32: 'Windows' }[os];
  const arm = os === 'linux' ? 'aarch64' : 'arm64';
  return { system, processor: arch === 'arm64' ? arm : os === 'win32' ? 'AMD64' : 'x86_64' };
}
