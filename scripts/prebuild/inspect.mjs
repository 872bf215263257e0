// @ts-check
/** Checks that a prebuilt binary needs nothing that its platform may lack. */
import { closeSync, openSync, readSync } from 'node:fs';
import { compareVersions, symbolsAbove, versionedSymbols } from './glibc.mjs';
import { windowsLinks } from './pe.mjs';
import { glibcFloor } from './platforms.mjs';
import { fail, output } from './run.mjs';

/** Libraries that every system of a kind has. CUDA's and Vulkan's come with the driver or the toolkit. */
const allowed = {
  glibc:
    /^(?:lib(?:c\.so\.6|m\.so\.6|pthread\.so\.0|dl\.so\.2)|ld-linux-.*|libvulkan\.so\.1|libcuda\.so\.1|lib(?:cudart|cublas|cublasLt)\.so\.\d+)$/,
  musl: /^libc\.so$/,
  // The universal C runtime is part of Windows since version 10.
  windows: /^(?:kernel32|kernelbase|advapi32|ntdll|bcrypt|user32|api-ms-win-(?:crt|core)-[a-z0-9-]+)\.dll$/i,
};

/**
 * Throws if a binary has the wrong format or processor, or needs a library or glibc version that its platform may lack.
 * Returns a description of what it needs.
 * @param {string} file
 * @param {import('./platforms.mjs').Platform} platform
 */
export function inspect(file, platform) {
  const found = formatOf(file);
  const wanted = `${platform.os}-${platform.arch}`;
  if (found !== wanted) fail(`${file} is a binary for ${found}, expected ${wanted}`);
  if (platform.os === 'win32') return inspectWindows(file);
  if (platform.os !== 'linux') return found;
  const libraries = neededLibraries(file);
  const libc = platform.triple.endsWith('musl') ? 'musl' : 'glibc';
  const foreign = libraries.filter((library) => !allowed[libc].test(library));
  if (foreign.length > 0) fail(`${file} needs ${foreign.join(', ')}, which a system with ${libc} may lack`);
  if (libc === 'musl') return `needs ${libraries.join(', ')}`;
  const newer = symbolsAbove('readelf', file, glibcFloor);
  if (newer.length > 0) fail(`${file} needs symbols newer than glibc ${glibcFloor}: ${newer.join(', ')}`);
  return `needs glibc ${newestVersion(file)} and ${libraries.join(', ')}`;
}

/**
 * The functions of Node-API must not be imported by name: node.exe has another name in Electron.
 * @param {string} file
 */
function inspectWindows(file) {
  const { libraries, exported } = windowsLinks(file);
  const foreign = libraries.filter((library) => !allowed.windows.test(library));
  if (foreign.length > 0)
    fail(`${file} needs ${foreign.join(', ')}, which a system with Windows 10 may lack`);
  if (!exported.includes('napi_register_module_v1')) fail(`${file} does not export napi_register_module_v1`);
  return `needs ${libraries.join(', ')}`;
}

/** Returns the libraries that an ELF file names as needed. @param {string} file */
export function neededLibraries(file) {
  const pattern = /\(NEEDED\)\s+Shared library: \[(.+?)\]/g;
  return [...output('readelf', ['--dynamic', '--wide', file]).matchAll(pattern)].map(([, name = '']) => name);
}

/** Returns the newest glibc version that an ELF file needs a symbol of, such as 2.27. @param {string} file */
export function newestVersion(file) {
  const versions = versionedSymbols('readelf', file, true).map(({ version }) => version);
  return versions.sort(compareVersions).at(-1)?.replace('GLIBC_', '') ?? 'none';
}

/** Returns the system and processor that a binary is for, such as linux-x64. @param {string} file */
export function formatOf(file) {
  const bytes = Buffer.alloc(4096);
  const handle = openSync(file, 'r');
  readSync(handle, bytes, 0, bytes.length, 0);
  closeSync(handle);
  if (bytes.toString('latin1', 0, 4) === '\x7fELF')
    return `linux-${{ 62: 'x64', 183: 'arm64' }[bytes.readUInt16LE(18)] ?? 'unknown'}`;
  if (bytes.toString('latin1', 0, 2) === 'MZ') {
    const header = bytes.readUInt32LE(60);
    const machine = header + 6 <= bytes.length ? bytes.readUInt16LE(header + 4) : 0;
    return `win32-${{ 34404: 'x64', 43620: 'arm64' }[machine] ?? 'unknown'}`;
  }
  if (bytes.readUInt32LE(0) === 0xfeedfacf)
    return `darwin-${{ 16777223: 'x64', 16777228: 'arm64' }[bytes.readUInt32LE(4)] ?? 'unknown'}`;
  return 'no known system';
}
