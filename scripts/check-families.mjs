// @ts-check
/**
 * Checks that a model family is defined in one file. Fails if a file of lib/ outside lib/families contains the name of a family
 * as a string, which is how code branches on it, and if lib/families contains a file that defines no family.
 *
 *     node scripts/check-families.mjs [FOLDER]
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, walk } from './files.mjs';

/** Files of lib/families that define no family. */
const OTHERS = new Set(['family.ts', 'registry.ts', 'index.ts']);
/** `ldm` is also the naming dialect of tensors in CompVis' files. */
const DIALECTS = { folder: 'lib/checkpoint/naming/', names: new Set(['ldm']) };

/**
 * Returns one message per place that breaks a rule.
 * @param {string} folder a package's folder that contains lib/
 * @returns {string[]}
 */
export function familyViolations(folder) {
  const families = join(folder, 'lib/families');
  if (!existsSync(families)) return [];
  const found = [];
  const names = new Set();
  for (const entry of readdirSync(families, { withFileTypes: true })) {
    if (entry.isDirectory() || OTHERS.has(entry.name)) continue;
    const own = [...readFileSync(join(families, entry.name), 'utf8').matchAll(/\bname: '([^']+)'/g)];
    if (own.length !== 1)
      found.push(
        `lib/families/${entry.name} defines ${own.length} families; a file must define one, and shared code belongs in shared/`,
      );
    for (const [, name] of own) names.add(name);
  }
  for (const file of walk(join(folder, 'lib'), (path) => path.endsWith('.ts'))) {
    const path = relative(folder, file).split(sep).join('/');
    if (path.startsWith('lib/families/')) continue;
    readFileSync(file, 'utf8')
      .split('\n')
      .forEach((line, i) => {
        if (/^\s*(\*|\/\/|\/\*)/.test(line)) return;
        for (const [, name = ''] of line.matchAll(/['"`]([a-z0-9_]+)['"`]/g)) {
          const dialect = DIALECTS.names.has(name) && path.startsWith(DIALECTS.folder);
          if (names.has(name) && !dialect)
            found.push(
              `${path}:${i + 1} names the family '${name}'; code that differs between families belongs in lib/families`,
            );
        }
      });
  }
  return found;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const found = familyViolations(resolve(process.argv[2] ?? root));
  for (const line of found) console.error(line);
  process.exit(found.length > 0 ? 1 : 0);
}
