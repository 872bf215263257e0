// @ts-check
/** Files of another Debian release or processor, without installing them. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../files.mjs';
import { run } from '../prebuild/run.mjs';

/**
 * Downloads packages and unpacks them into a folder of their own, which is returned.
 * @param {string} release such as bullseye
 * @param {'amd64' | 'arm64'} architecture
 * @param {string[]} names
 */
export function unpackDebian(release, architecture, names) {
  const folder = join(root, '.build/platforms/debian', `${release}-${architecture}`);
  const unpacked = join(folder, 'root');
  const done = join(folder, `.${names.join('+')}`);
  if (existsSync(done)) return unpacked;
  for (const part of ['lists/partial', 'cache/archives/partial', 'packages', 'parts'])
    mkdirSync(join(folder, part), { recursive: true });
  const key = '/usr/share/keyrings/debian-archive-keyring.gpg';
  const sources = join(folder, 'sources.list');
  writeFileSync(sources, `deb [signed-by=${key}] http://deb.debian.org/debian ${release} main\n`);
  writeFileSync(join(folder, 'status'), '');
  const options = [
    `APT::Architecture=${architecture}`,
    `APT::Architectures=${architecture}`,
    'APT::Sandbox::User=root', // apt's own user cannot write to the clone
    `Dir::Etc::sourcelist=${sources}`,
    `Dir::Etc::sourceparts=${join(folder, 'parts')}`,
    `Dir::State::lists=${join(folder, 'lists')}`,
    `Dir::State::status=${join(folder, 'status')}`,
    `Dir::Cache=${join(folder, 'cache')}`,
  ].flatMap((option) => ['-o', option]);
  run('apt-get', ['-qq', ...options, 'update'], `reading the packages of Debian ${release}`);
  const download = ['apt-get', '-qq', ...options, 'download', ...names];
  const packages = join(folder, 'packages');
  run('sh', ['-c', 'cd "$1" && shift && "$@"', 'sh', packages, ...download], 'downloading');
  for (const file of readdirSync(packages))
    run('dpkg-deb', ['-x', join(packages, file), unpacked], `unpacking ${file}`);
  rmSync(packages, { recursive: true });
  writeFileSync(done, '');
  return unpacked;
}
