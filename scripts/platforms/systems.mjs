// @ts-check
/** Other systems' Node.js on this machine. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../prebuild/run.mjs';
import { unpackDebian } from './debian.mjs';
import { armNode, muslNode, nodeWithLoader } from './node.mjs';

/**
 * @typedef {object} System
 * @property {string} name
 * @property {string[]} command that starts its Node.js
 * @property {Record<string, string>} [env] variables in addition to those of this process
 * @property {boolean} [slow] true under an emulator
 *
 * @typedef {() => System[] | Promise<System[]>} Prepare downloads what is missing
 */

/** Debian 11: glibc 2.31, the oldest that Debian's servers still have. Node.js itself needs 2.28. */
const oldGlibc = ['libc6', 'libstdc++6', 'libgcc-s1'];

/** @type {Record<string, Prepare>} by platform */
export const systems = {
  'linux-x64': () => {
    const files = unpackDebian('bullseye', 'amd64', oldGlibc);
    const libraries = ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu'].map((path) => join(files, path));
    const loader = join(files, 'lib/x86_64-linux-gnu/ld-linux-x86-64.so.2');
    const node = nodeWithLoader('linux-x64', process.execPath, loader);
    return [
      { name: 'this system', command: [process.execPath] },
      { name: 'glibc 2.31 (Debian 11)', command: [node], env: { LD_LIBRARY_PATH: libraries.join(':') } },
    ];
  },
  'linux-arm64': () => [
    {
      name: 'qemu-user with glibc 2.31 (Debian 11)',
      command: [qemu(), '-L', unpackDebian('bullseye', 'arm64', oldGlibc), armNode()],
      slow: true,
    },
  ],
  'linuxmusl-x64': () => {
    const loader = join(unpackDebian('trixie', 'amd64', ['musl']), 'usr/lib/ld-musl-x86_64.so.1');
    return [{ name: 'musl 1.2.5', command: [muslNode('x86_64', loader)] }];
  },
  'linuxmusl-arm64': () => {
    const loader = join(unpackDebian('trixie', 'arm64', ['musl']), 'usr/lib/ld-musl-aarch64.so.1');
    return [
      { name: 'qemu-user with musl 1.2.5', command: [qemu(), muslNode('aarch64', loader)], slow: true },
    ];
  },
};

function qemu() {
  for (const name of ['qemu-aarch64-static', 'qemu-aarch64'])
    if (existsSync(join('/usr/bin', name))) return join('/usr/bin', name);
  return fail('Arm binaries need qemu-user: apt-get install qemu-user');
}
