// @ts-check
/** Other systems' Node.js on this machine. */
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../prebuild/run.mjs';
import { unpackDebian } from './debian.mjs';
import { armNode, muslLibraries, muslNode, nodeWithLoader } from './node.mjs';

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
    const files = muslFiles('amd64');
    const node = nodeWithLoader('musl', muslNode('x86_64'), join(files, 'usr/lib/ld-musl-x86_64.so.1'));
    // A mount that only this process and its children see.
    const script = 'mount --bind "$1" /usr/bin/ldd && shift && exec "$@"';
    const ldd = join(files, 'usr/bin/ldd');
    const env = { LD_LIBRARY_PATH: muslLibraries('x86_64') };
    return [{ name: 'musl 1.2.5', command: ['unshare', '-rm', 'sh', '-c', script, 'sh', ldd, node], env }];
  },
  'linuxmusl-arm64': () => {
    const command = [qemu(), '-L', muslFiles('arm64'), muslNode('aarch64')];
    const env = { LD_LIBRARY_PATH: muslLibraries('aarch64') };
    return [{ name: 'qemu-user with musl 1.2.5', command, env, slow: true }];
  },
};

/**
 * Returns a folder with musl of Debian 13. detect-libc, by which sharp and Safelight choose their binaries, looks for the
 * word musl in /usr/bin/ldd, which is a script there too.
 * @param {'amd64' | 'arm64'} architecture
 */
function muslFiles(architecture) {
  const files = unpackDebian('trixie', architecture, ['musl']);
  if (!existsSync(join(files, 'lib'))) symlinkSync('usr/lib', join(files, 'lib'));
  mkdirSync(join(files, 'usr/bin'), { recursive: true });
  writeFileSync(join(files, 'usr/bin/ldd'), '#!/bin/sh\n# ldd of musl\n');
  return files;
}

function qemu() {
  for (const name of ['qemu-aarch64-static', 'qemu-aarch64'])
    if (existsSync(join('/usr/bin', name))) return join('/usr/bin', name);
  return fail('Arm binaries need qemu-user: apt-get install qemu-user');
}
