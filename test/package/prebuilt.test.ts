/**
 * The binaries of the platform packages need no newer C library than their platform has. Compiling a binary takes minutes, so
 * those in prebuilds/ are inspected if they exist, and the libraries that keep symbols old are tested with a small program.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compareVersions, symbolsAbove, symbolsUpTo, writeStubs } from '../../scripts/prebuild/glibc.mjs';
import { formatOf, inspect } from '../../scripts/prebuild/inspect.mjs';
import { binaryFile, glibcFloor, platforms } from '../../scripts/prebuild/platforms.mjs';
import { root } from './npm.js';

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;
const linuxPlatforms = Object.entries(platforms).filter(([, { os }]) => os === 'linux');

describe.each(Object.entries(platforms))('the package for %s', (name, platform) => {
  it.each(platform.binaries)('needs nothing that its systems may lack (%s)', (binary) => {
    const file = join(root, 'prebuilds', name, binaryFile(binary));
    expect(inspect(file, platform)).toContain(platform.os === 'linux' ? 'needs ' : platform.os);
  });
  // Replaced below by the reasons for which a test is skipped.
});

describe('versions of symbols', () => {
  const symbol = (name: string, version: string, isDefault = true) => ({ name, version, isDefault, type: 'FUNC' });

  it('are ordered by number', () => {
    const sorted = ['GLIBC_2.28', 'GLIBC_2.4', 'GLIBC_2.2.5', 'GLIBC_2.34'].sort(compareVersions);
    expect(sorted).toEqual(['GLIBC_2.2.5', 'GLIBC_2.4', 'GLIBC_2.28', 'GLIBC_2.34']);
  });

  it('are the newest up to the limit, and symbols that are newer or private are left out', () => {
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
});
