// @ts-check
/**
 * Checks wording that STYLE rules out and that a script can find:
 *
 * - Comments and docstrings of lib/, native/, web/src, scripts/ and test/ that open with Of, What, Whether, How, Where, Which, Nothing or "The
 *   one that". A docstring begins with a verb in the third person ("Returns ...") or a noun phrase that defines the thing.
 * - The word "picture" in prose, messages and identifiers, there except in test/, and in the Markdown files. It is "image"; a field of the HTTP
 *   API keeps its name.
 *
 *     node scripts/check-prose.mjs [FOLDER]
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, walk } from './files.mjs';

const FOLDERS = ['lib', 'native', 'web/src', 'scripts', 'test'];
const SOURCE = /\.(ts|tsx|cpp|h|mjs|css|html)$/;
/** This file names the words that it looks for. */
const SELF = 'scripts/check-prose.mjs';

const OPENING =
  /^\s*(?:\/\*\*?|\/\/\/?|\*)\s*(?:@\w+ [\w.]+ )?(Of|What|Whether|How|Where|Which|Nothing|The one that)\b/;
const COMMENT = /^\s*(?:\/\*|\/\/|\*)/;
/** A field of a job (`{ type: 'inside', picture: 0 }`), the mode under which the web UI stored its form, and A1111's "Whole picture". */
const FIELD = /['"`]picture['"`]|\bpicture\b\??:|\.picture\b|Whole picture/g;

/**
 * Returns every place that breaks a rule, as a sentence.
 * @param {string} folder a package's folder
 * @returns {string[]}
 */
export function proseViolations(folder) {
  const found = [];
  for (const file of files(folder)) {
    const path = relative(folder, file).split(sep).join('/');
    if (path === SELF) continue;
    const lines = readFileSync(file, 'utf8').split('\n');
    for (const [i, line] of lines.entries()) {
      const word = opensComment(lines, i) ? OPENING.exec(line)?.[1] : undefined;
      if (word !== undefined && !path.endsWith('.md'))
        found.push(`${path}:${i + 1} opens with "${word}": begin with a verb or with what it describes`);
      if (!path.startsWith('test/') && /picture/i.test(line.replaceAll(FIELD, '')))
        found.push(`${path}:${i + 1} says "picture": write "image"`);
    }
  }
  return found;
}

/**
 * Returns true if the text of a comment begins in line i: after code, after a line that only opens the comment, or with the comment itself.
 * @param {readonly string[]} lines @param {number} i
 */
function opensComment(lines, i) {
  const [line = '', before = ''] = [lines[i], lines[i - 1] ?? ''];
  if (/^\s*\/\*/.test(line)) return true;
  if (/^\s*\*\s*@/.test(line)) return true;
  return /^\s*\/\*\*?\s*$/.test(before) || (COMMENT.test(line) && !COMMENT.test(before));
}

/** @param {string} folder @returns {string[]} */
function files(folder) {
  const sources = FOLDERS.map((name) => join(folder, name)).filter((path) => existsSync(path));
  const pages = ['.', 'docs']
    .map((name) => join(folder, name))
    .filter((path) => existsSync(path))
    .flatMap((path) => readdirSync(path).map((name) => join(path, name)))
    .filter((path) => path.endsWith('.md'));
  return [...sources.flatMap((path) => walk(path, (file) => SOURCE.test(file))), ...pages];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const found = proseViolations(resolve(process.argv[2] ?? root));
  for (const line of found) console.error(line);
  process.exit(found.length > 0 ? 1 : 0);
}
