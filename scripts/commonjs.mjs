// @ts-check
/**
 * Writes the CommonJS entries next to the compiled ES module: `index.cjs`, which requires the same module (Node 20.19 and
 * 22.12 can require ES modules), and its types, `index.d.cts`. Under `module: node16`, TypeScript rejects a plain
 * `export * from './index.js'` in a CommonJS file (TS1479) but accepts type imports with a resolution mode. So each name is
 * declared by such an import, and a class is the same type in ES and CommonJS modules.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const IMPORT_MODE = `{ 'resolution-mode': 'import' }`;

/**
 * @typedef {{ name: string, source: string }} Value an exported value and the file that declares it
 * @typedef {{ parameters: string, names: string[] }} Generics type parameters as written, such as
 *   `<T extends A = B>`, and their names, such as T
 */

/**
 * Writes `NAME.cjs` and `NAME.d.cts` for a compiled entry `NAME.js`.
 * @param {string} types declarations of the entry that tsc wrote: lists of names that it re-exports
 * @param {string} entry path of the .js file
 */
export function writeCommonJs(types, entry) {
  const stem = entry.slice(0, -'.js'.length);
  const specifier = `./${basename(entry)}`;
  const loader = `'use strict';\nmodule.exports = require('${specifier}');\n`;
  writeFileSync(`${stem}.cjs`, loader);
  writeFileSync(`${stem}.d.cts`, declarations(types, specifier));
}

/**
 * @param {string} file the entry's .d.ts
 * @param {string} specifier
 */
function declarations(file, specifier) {
  const lines = [
    `export type * from '${specifier}' with ${IMPORT_MODE};`,
    `type Module = typeof import('${specifier}', { with: ${IMPORT_MODE} });`,
  ];
  for (const { name, source } of exportedValues(file)) {
    lines.push(`export declare const ${name}: Module['${name}'];`);
    // The value hides the type of the same name from `export type *`, so the type is declared again.
    const generics = typeOf(readFileSync(source, 'utf8'), name);
    if (!generics) continue;
    const { parameters, names } = qualified(generics, source, file, specifier);
    const imported = `import('${specifier}', { with: ${IMPORT_MODE} }).${name}`;
    lines.push(
      `export type ${name}${parameters} = ${imported}${names.length ? `<${names.join(', ')}>` : ''};`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/**
 * Returns all values that a declaration file re-exports by name. Throws on other forms of export, so that none is missed.
 * @param {string} file
 * @returns {Value[]}
 */
export function exportedValues(file) {
  const text = withoutComments(readFileSync(file, 'utf8'));
  const values = /** @type {Value[]} */ ([]);
  const form = /export\s+(type\s+)?\{([^}]*)\}\s+from\s+['"](\.[^'"]*)\.js['"];?/g;
  for (const [, typeOnly, list = '', path = ''] of text.matchAll(form)) {
    if (typeOnly) continue;
    for (const item of list.split(',').map((part) => part.trim())) {
      if (item === '' || item.startsWith('type ')) continue;
      if (!/^[\w$]+$/.test(item))
        throw new Error(`${file}: expected a plain name in an export list, received "${item}"`);
      values.push({ name: item, source: declaredIn(join(dirname(file), `${path}.d.ts`), item) });
    }
  }
  const rest = text.replace(form, '').trim();
  if (rest !== '')
    throw new Error(`${file}: expected only lists of re-exported names, received ${rest.slice(0, 80)}`);
  return values;
}

/**
 * Returns the file that declares an export, following re-exports.
 * @param {string} file
 * @param {string} name
 * @returns {string}
 */
function declaredIn(file, name) {
  const text = withoutComments(readFileSync(file, 'utf8'));
  const declaration = `export declare (?:abstract class|class|function|const|let) ${name}\\b`;
  if (new RegExp(declaration).test(text)) return file;
  const next = new RegExp(`export\\s+\\{[^}]*\\b${name}\\b[^}]*\\}\\s+from\\s+['"](\\.[^'"]*)\\.js['"]`).exec(
    text,
  );
  if (next) return declaredIn(join(dirname(file), `${next[1]}.d.ts`), name);
  throw new Error(`${file}: expected a class, function or constant named ${name}`);
}

/**
 * Returns the type parameters of the class, interface or type of this name; undefined if the name is only a value.
 * @param {string} text
 * @param {string} name
 * @returns {Generics | undefined}
 */
function typeOf(text, name) {
  const match = new RegExp(`export (?:declare (?:abstract )?class|interface|type) ${name}\\b(<)?`).exec(text);
  if (!match) return undefined;
  if (!match[1]) return { parameters: '', names: [] };
  const begin = match.index + match[0].length;
  const items = [''];
  let depth = 1;
  let at = begin;
  for (; depth > 0; at++) {
    const character = text[at];
    if (character === undefined) throw new Error(`the type parameters of ${name} have no end`);
    if ('<({['.includes(character)) depth++;
    else if (')}]'.includes(character) || (character === '>' && text[at - 1] !== '=')) depth--;
    if (character === ',' && depth === 1) items.push('');
    else items[items.length - 1] += character;
  }
  const names = items.map((item) => /^\s*(?:const\s+)?([\w$]+)/.exec(item)?.[1] ?? '');
  return { parameters: text.slice(begin - 1, at), names };
}

/**
 * Replaces names of types in type parameters, such as a constraint, by imports of the entry, which must export them.
 * @param {Generics} generics
 * @param {string} source the module that declares the value
 * @param {string} entry declarations of the entry
 * @param {string} specifier of the entry
 * @returns {Generics}
 */
function qualified({ parameters, names }, source, entry, specifier) {
  const text = readFileSync(source, 'utf8');
  const exported = withoutComments(readFileSync(entry, 'utf8'));
  const whole = parameters.replace(/[\w$]+/g, (word) => {
    // Declared in the module or re-exported by it.
    const isType = new RegExp(
      `export (?:(?:declare (?:abstract )?class|interface|type) ${word}\\b|(?:type )?\\{[^}]*\\b${word}\\b[^}]*\\} from)`,
    ).test(text);
    if (names.includes(word) || !isType) return word;
    if (!new RegExp(`\\b${word}\\b`).test(exported))
      throw new Error(`${source}: ${word} restricts a type parameter, so ${entry} must export it`);
    return `import('${specifier}', { with: ${IMPORT_MODE} }).${word}`;
  });
  return { parameters: whole, names };
}

/** @param {string} text */
function withoutComments(text) {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}
