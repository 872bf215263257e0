// @ts-check
/** Lists and hashes source files, for scripts that rebuild only what changed. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root folder of the package. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/**
 * Returns the paths of all files at or under `path`, in a fixed order.
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
 * Returns a hash of file names and contents. Modification times are ignored, because a clone or `npm ci` changes them.
 * @param {string[]} files
 * @param {string[]} [extra] other inputs of the build
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
 * Returns the integrity hash of a package in package-lock.json, or `none`. It changes with the contents of the package.
 * @param {string} name
 * @returns {string}
 */
export function lockedIntegrity(name) {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  return lock.packages?.[`node_modules/${name}`]?.integrity ?? 'none';
}
