/**
 * The binaries of the platform packages need no newer C library than their platforms have. Compiling one takes minutes, so
 * those in prebuilds/ are inspected if they exist, and the stub libraries that keep symbols old are tested with a small
 * library.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  compareVersions,
  oldLibrary,
  symbolsAbove,
  symbolsUpTo,
  type VersionedSymbol,
  writeStubs,
} from '../../scripts/prebuild/glibc.mjs';
import { inspect, neededLibraries } from '../../scripts/prebuild/inspect.mjs';
import { binaryFile, glibcFloor, platforms } from '../../scripts/prebuild/platforms.mjs';
import { root } from './npm.js';

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;

describe('versions of symbols', () => {
  const symbol = (name: string, version: string, isDefault = true): VersionedSymbol => ({
    ...{ name, version, isDefault, type: 'FUNC' },
  });

  it('are ordered by number', () => {
    const sorted = ['GLIBC_2.28', 'GLIBC_2.4', 'GLIBC_2.2.5', 'GLIBC_2.34'].sort(compareVersions);
    expect(sorted).toEqual(['GLIBC_2.2.5', 'GLIBC_2.4', 'GLIBC_2.28', 'GLIBC_2.34']);
  });

  it('are the newest up to the limit, without symbols that are newer or private', () => {
    const all = [
      symbol('pow', 'GLIBC_2.29'),
      symbol('pow', 'GLIBC_2.2.5', false),
      symbol('memcpy', 'GLIBC_2.2.5', false),
      symbol('memcpy', 'GLIBC_2.14'),
      symbol('arc4random', 'GLIBC_2.36'),
      symbol('errno', 'GLIBC_PRIVATE'),
    ];
    const chosen = symbolsUpTo(all, '2.28').map(({ name, version }) => `${name}@${version}`);
    expect(chosen).toEqual(['pow@GLIBC_2.2.5', 'memcpy@GLIBC_2.14']);
  });

  it('belong to the libraries that glibc 2.34 merged', () => {
    const merged = new Set(['pthread_create', 'dlopen', 'timer_create']);
    const libraries = ['pthread_create', 'dlopen', 'timer_create', 'pthread_mutex_lock'].map((name) =>
      oldLibrary(symbol(name, 'GLIBC_2.2.5'), merged),
    );
    expect(libraries).toEqual(['libpthread.so.0', 'libdl.so.2', undefined, 'libc.so.6']);
  });
});

const target = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[process.arch as 'x64' | 'arm64'];
const glibc = (process.report.getReport() as { header: { glibcVersionRuntime?: string } }).header
  .glibcVersionRuntime;
const noCompiler =
  target && glibc && has(`${target}-gcc`) && has(`${target}-readelf`)
    ? ''
    : 'it needs GCC and glibc on Linux';
if (noCompiler) console.warn(`The test of the stub libraries is skipped because ${noCompiler}.`);

describe.skipIf(noCompiler)('a library that is linked against the stubs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-stubs-'));
  const source = join(folder, 'library.c');
  const compile = (output: string, ...flags: string[]): string => {
    const file = join(folder, output);
    execFileSync(`${target}-gcc`, ['-shared', '-fPIC', source, '-o', file, ...flags], { stdio: 'pipe' });
    return file;
  };
  beforeAll(() => {
    writeFileSync(
      source,
      `#include <dlfcn.h>
       #include <math.h>
       #include <pthread.h>
       #include <sys/stat.h>
       double all(const char * path, pthread_t * thread, void * (*body)(void *), double x) {
           struct stat found;
           void * library = dlopen(path, RTLD_NOW);
           return pthread_create(thread, 0, body, library) + fstat(0, &found) + pow(x, found.st_size);
       }`,
    );
    writeStubs(`${target}`, glibcFloor, join(folder, 'stubs'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('needs no symbol above the limit, and needs the libraries that had them', () => {
    const shims = join(root, 'scripts/prebuild/glibc-shims.c');
    const file = compile('old.so', shims, `-L${join(folder, 'stubs')}`, '-lm');
    expect(symbolsAbove('readelf', file, glibcFloor)).toEqual([]);
    expect(neededLibraries(file).sort()).toEqual(['libc.so.6', 'libdl.so.2', 'libm.so.6', 'libpthread.so.0']);
  });

  it('would need newer symbols without them', (context) => {
    context.skip(compareVersions(`GLIBC_${glibc}`, '2.34') < 0, `glibc ${glibc} has no newer symbols`);
    expect(symbolsAbove('readelf', compile('new.so', '-lm'), glibcFloor)).toEqual(
      expect.arrayContaining(['pthread_create@GLIBC_2.34', 'dlopen@GLIBC_2.34', 'fstat@GLIBC_2.33']),
    );
  });

  it('is rejected if it calls a function that glibc got later and the shims lack', () => {
    const later = join(folder, 'later.c');
    writeFileSync(later, 'unsigned arc4random(void); unsigned later(void) { return arc4random(); }\n');
    const link = () => compile('later.so', later, `-L${join(folder, 'stubs')}`, '-lm', '-Wl,--no-undefined');
    expect(link).toThrow(/arc4random/);
  });

  it('is rejected as a binary of another platform', () => {
    const file = compile('plain.so', '-lm');
    const other = process.arch === 'x64' ? 'linux-arm64' : 'linux-x64';
    const platform = platforms[other];
    expect(platform && (() => inspect(file, platform))).toThrow(/expected linux-/);
  });
});

const binaries = Object.entries(platforms).flatMap(([name, platform]) =>
  platform.binaries.map((binary) => ({ name, platform, file: join('prebuilds', name, binaryFile(binary)) })),
);
const noReadelf = has('readelf') ? '' : 'readelf is not installed';
const missing = binaries.filter(({ file }) => !existsSync(join(root, file)));
if (noReadelf) console.warn(`No binary in prebuilds/ is inspected because ${noReadelf}.`);
else if (missing.length > 0)
  console.warn(
    `These binaries are not inspected because scripts/prebuild.mjs did not build them: ${missing.map(({ file }) => file).join(', ')}`,
  );

describe.skipIf(noReadelf)('the binary', () => {
  for (const { platform, file } of binaries)
    it.skipIf(!existsSync(join(root, file)))(`${file} needs nothing that its platform may lack`, () => {
      expect(inspect(join(root, file), platform)).toMatch(/^(?:needs |win32-|darwin-)/);
    });
});
