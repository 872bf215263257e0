// @ts-check
/** Walking and fingerprinting source files, for the scripts that do nothing when nothing changed. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The package's folder. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/**
 * Paths of all files at or under `path`, sorted, so that the same tree always gives the same list.
 * @param {string} path
 * @param {(file: string) => boolean} [keep]
 * @returns {string[]}
 */
export function walk(path, keep = () => true) {
  if (!existsSync(path)) return [];
  if (statSync(path).isFile()) return keep(path) ? [path] : [];
  const found = [];
  for (const entry of readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const full = join(path, entry.name);
    if (entry.isDirectory()) found.push(...walk(full, keep));
    else if (entry.isFile() && keep(full)) found.push(full);
  }
  return found;
}

/**
 * A digest of names and contents: times do not count, because a fresh clone or `npm ci` changes all of them.
 * @param {string[]} files
 * @param {string[]} [extra] other things the result depends on
 */
export function fingerprint(files, extra = []) {
  const hash = createHash('sha256');
  for (const file of files) {
    const content = readFileSync(file);
    hash.update(`${file.slice(root.length)}\0${content.length}\0`).update(content);
  }
  return hash.update(extra.join('\0')).digest('hex');
}

/**
 * What the lock file pins a package to; a change of it means other contents under node_modules.
 * @param {string} name
 * @returns {string}
 */
export function lockedIntegrity(name) {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  return lock.packages?.[`node_modules/${name}`]?.integrity ?? 'none';
}
