// @ts-check
/** Zig as a cross compiler: installs a pinned version from PyPI and writes the programs that CMake calls. */
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../files.mjs';
import { run } from './run.mjs';

/**
 * Returns the path of Zig: that of the environment variable SAFELIGHT_ZIG, or the version that scripts/prebuild/zig.txt pins,
 * installed in .build/zig.
 */
export function zig() {
  if (process.env.SAFELIGHT_ZIG) return process.env.SAFELIGHT_ZIG;
  const requirements = join(root, 'scripts/prebuild/zig.txt');
  const folder = join(root, '.build/zig/package');
  const note = join(folder, '.requirements');
  const program = join(folder, 'ziglang/zig');
  const wanted = readFileSync(requirements, 'utf8');
  if (existsSync(note) && readFileSync(note, 'utf8') === wanted) return program;
  rmSync(folder, { recursive: true, force: true });
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps'];
  pip.push('--only-binary=:all:', '--require-hashes', '--root-user-action=ignore', '--target', folder);
  run('python3', [...pip, '--requirement', requirements], 'installing Zig from PyPI');
  chmodSync(program, 0o755);
  writeFileSync(note, wanted);
  return program;
}

/**
 * Writes a program for each tool that compiles for one target. Returns their folder.
 * @param {string} triple such as x86_64-linux-musl
 */
export function zigTools(triple) {
  const program = zig();
  const folder = join(root, '.build/zig', triple);
  mkdirSync(folder, { recursive: true });
  // Programs for musl are static by default: Zig would compile all of musl for the programs of CMake's checks.
  const target = triple.endsWith('musl') ? `${triple} -dynamic` : triple;
  for (const [name, call] of Object.entries({
    cc: `cc -target ${target}`,
    'c++': `c++ -target ${target}`,
    ar: 'ar',
    ranlib: 'ranlib',
    rc: 'rc',
  })) {
    const file = join(folder, name);
    const script = `#!/bin/sh\nexec '${program}' ${call} "$@"\n`;
    if (existsSync(file) && readFileSync(file, 'utf8') === script) continue;
    writeFileSync(file, script, { mode: 0o755 });
  }
  return folder;
}
