// @ts-check
/**
 * Links binaries against an older glibc than that of the build system. The linker records the newest version of each symbol
 * that it finds in libc.so.6, so the addon is linked against stub libraries that have only old versions. They are generated
 * from the symbol tables of the installed glibc, which keeps every version that it ever had.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fail, output, run } from './run.mjs';

/**
 * @typedef {object} VersionedSymbol
 * @property {string} name
 * @property {string} version such as GLIBC_2.17
 * @property {boolean} isDefault if false, only programs that were linked with an older glibc use this version
 * @property {string} type FUNC, OBJECT, IFUNC or TLS
 */

/**
 * Returns the symbols that a library defines, or with `undefinedOnes` those that it takes from other libraries.
 * @param {string} readelf
 * @param {string} file
 * @param {boolean} [undefinedOnes]
 * @returns {VersionedSymbol[]}
 */
export function versionedSymbols(readelf, file, undefinedOnes = false) {
  // Num: Value Size Type Bind Vis Ndx Name@@VERSION
  const pattern = /^\s*\d+: \w+\s+\w+ (\w+)\s+(?:GLOBAL|WEAK)\s+DEFAULT\s+(\w+) ([^@\s]+)(@@?)(\S+)/gm;
  return [...output(readelf, ['--dyn-syms', '--wide', file]).matchAll(pattern)]
    .filter(([, , section]) => (section === 'UND') === undefinedOnes)
    .map(([, type = '', , name = '', at, version = '']) => ({ name, version, isDefault: at === '@@', type }));
}

/**
 * Compares versions such as GLIBC_2.17 and GLIBC_2.2.5. Returns a negative number if `a` is older.
 * @param {string} a
 * @param {string} b
 */
export function compareVersions(a, b) {
  const [one, other] = [a, b].map((version) => version.replace(/^\w+_/, '').split('.').map(Number));
  for (let i = 0; i < 3; i++) {
    const difference = (one?.[i] ?? 0) - (other?.[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/**
 * Returns the newest version of each symbol that is no newer than `floor`.
 * @param {VersionedSymbol[]} symbols
 * @param {string} floor such as 2.28
 */
export function symbolsUpTo(symbols, floor) {
  /** @type {Map<string, VersionedSymbol>} */
  const chosen = new Map();
  for (const symbol of symbols) {
    if (!/^GLIBC_\d/.test(symbol.version) || compareVersions(symbol.version, floor) > 0) continue;
    const known = chosen.get(symbol.name);
    if (!known || compareVersions(known.version, symbol.version) < 0) chosen.set(symbol.name, symbol);
  }
  return [...chosen.values()];
}

/**
 * Returns the library that had a symbol of libc.so.6 before glibc 2.34 merged libpthread and libdl into it.
 * @param {VersionedSymbol} symbol
 * @param {Set<string>} merged names of the symbols that glibc 2.34 added to libc.so.6
 */
export function oldLibrary({ name }, merged) {
  if (!merged.has(name)) return 'libc.so.6';
  if (/^_?dl/.test(name)) return 'libdl.so.2';
  // Also moved were functions of librt, libutil and libanl, which nothing here calls.
  return /^(?:__)?(?:pthread|sem)_/.test(name) ? 'libpthread.so.0' : undefined;
}

/**
 * Writes the stub libraries to a folder: libc, libm, libpthread, libdl and the dynamic loader.
 * @param {string} triple of the GCC, such as aarch64-linux-gnu
 * @param {string} floor
 * @param {string} folder
 */
export function writeStubs(triple, floor, folder) {
  const gcc = `${triple}-gcc`;
  /** @param {string} name */
  const find = (name) => {
    const path = output(gcc, [`-print-file-name=${name}`]).trim();
    if (!existsSync(path)) fail(`${gcc} cannot find ${name}; install the C library for ${triple}`);
    return path;
  };
  const loader = triple.startsWith('aarch64') ? 'ld-linux-aarch64.so.1' : 'ld-linux-x86-64.so.2';
  const libc = versionedSymbols(`${triple}-readelf`, find('libc.so.6'));
  const merged = new Set(
    libc.filter((it) => it.isDefault && it.version === 'GLIBC_2.34').map((it) => it.name),
  );
  /** @type {Map<string, VersionedSymbol[]>} */
  const libraries = new Map();
  for (const symbol of symbolsUpTo(libc, floor)) {
    const library = oldLibrary(symbol, merged);
    if (library) libraries.set(library, [...(libraries.get(library) ?? []), symbol]);
  }
  for (const name of ['libm.so.6', loader])
    libraries.set(name, symbolsUpTo(versionedSymbols(`${triple}-readelf`, find(name)), floor));
  mkdirSync(folder, { recursive: true });
  for (const [name, symbols] of libraries) writeStub(gcc, join(folder, name), symbols);
  // As in glibc, libc.so is a linker script. AS_NEEDED records only the libraries of which a symbol is used.
  const parts = ['libpthread.so.0', 'libdl.so.2', loader].map((name) => join(folder, name));
  writeFileSync(
    join(folder, 'libc.so'),
    `GROUP ( ${join(folder, 'libc.so.6')} ${find('libc_nonshared.a')} AS_NEEDED ( ${parts.join(' ')} ) )\n`,
  );
  writeFileSync(join(folder, 'libm.so'), `INPUT ( ${join(folder, 'libm.so.6')} )\n`);
}

/**
 * Writes a shared library that defines symbols with their versions and contains no code.
 * @param {string} gcc
 * @param {string} file
 * @param {VersionedSymbol[]} symbols
 */
function writeStub(gcc, file, symbols) {
  const versions = [...new Set(symbols.map(({ version }) => version))].sort(compareVersions);
  const types = { FUNC: 'function', IFUNC: 'function', OBJECT: 'object', TLS: 'tls_object' };
  const lines = symbols.map(({ name, type }) => {
    const kind = types[/** @type {keyof typeof types} */ (type)] ?? 'notype';
    return `.globl ${name}\n.type ${name}, %${kind}\n${name}:`;
  });
  writeFileSync(`${file}.s`, `.text\n${lines.join('\n')}\n.section .note.GNU-stack,"",%progbits\n`);
  const blocks = versions.map((version) => {
    const names = symbols.filter((symbol) => symbol.version === version).map(({ name }) => `${name};`);
    return `${version} { global: ${names.join(' ')} };`;
  });
  writeFileSync(`${file}.map`, `${blocks.join('\n')}\n`);
  const flags = ['-shared', '-nostdlib', `-Wl,-soname,${basename(file)}`, `-Wl,--version-script,${file}.map`];
  run(gcc, [...flags, '-o', file, `${file}.s`], `writing the stub of ${basename(file)}`);
}

/**
 * Returns the symbols of a binary that need a newer glibc, or a newer C++ library than the oldest.
 * @param {string} readelf
 * @param {string} file
 * @param {string} floor
 */
export function symbolsAbove(readelf, file, floor) {
  return versionedSymbols(readelf, file, true)
    .filter(({ version }) => !/^GLIBC_\d/.test(version) || compareVersions(version, floor) > 0)
    .map(({ name, version }) => `${name}@${version}`);
}
