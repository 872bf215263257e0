// @ts-check
/**
 * Fails on import cycles (including type imports) in lib/ and web/src, and on include cycles in native/, because the files of
 * a cycle cannot be read, tested or moved separately. Prints the shortest cycle of each strongly connected component.
 *
 *     node scripts/check-cycles.mjs [FOLDER] [--max-files[=COUNT]]
 *
 * `--max-files` also fails if a folder contains more than COUNT source files (default 22), not counting its subfolders.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, posix, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { importsOf } from './check-dependencies.mjs';
import { root, walk } from './files.mjs';

const TREES = ['lib', 'native', 'web/src'];
const TYPESCRIPT = /\.tsx?$/;
const CPP = /\.(cpp|h|hpp|c|cc|cu)$/;
const MAX_FILES = 22;

/**
 * Returns one message per strongly connected component, with its shortest cycle.
 * @param {string} folder a package's folder that contains lib/, native/ and web/src
 * @returns {string[]}
 */
export function cycles(folder) {
  const graph = graphOf(folder);
  return cyclicComponents(graph).map(
    (component) => `import cycle: ${shortestCycle(graph, component).join(' -> ')}`,
  );
}

/**
 * Returns one message per folder that contains more than `most` source files.
 * @param {string} folder
 * @param {number} [most]
 * @returns {string[]}
 */
export function crowdedFolders(folder, most = MAX_FILES) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const file of sources(folder)) {
    const parent = dirname(file);
    counts.set(parent, (counts.get(parent) ?? 0) + 1);
  }
  return [...counts]
    .filter(([, count]) => count > most)
    .map(
      ([name, count]) =>
        `${name}/ contains ${count} source files; at most ${most} are accepted. Divide it by subject`,
    );
}

/** @param {string} folder @returns {string[]} paths relative to the folder, with forward slashes */
function sources(folder) {
  return TREES.flatMap((tree) =>
    walk(join(folder, tree), (file) => TYPESCRIPT.test(file) || (CPP.test(file) && tree === 'native')),
  ).map((file) => relative(folder, file).split(sep).join('/'));
}

/** @param {string} folder @returns {Map<string, string[]>} the files that each file imports or includes */
function graphOf(folder) {
  const files = sources(folder);
  const known = new Set(files);
  return new Map(
    files.map((file) => {
      const text = readFileSync(join(folder, file), 'utf8');
      const named = TYPESCRIPT.test(file) ? modulesIn(file, text, known) : headersIn(file, text, known);
      return [file, [...new Set(named.flatMap((target) => target ?? []))]];
    }),
  );
}

/** @param {string} file @param {string} text @param {Set<string>} known */
function modulesIn(file, text, known) {
  return importsOf(text)
    .filter(({ specifier }) => specifier.startsWith('.'))
    .map(({ specifier }) => {
      const path = posix.join(posix.dirname(file), specifier);
      const bare = path.replace(/\.jsx?$/, '');
      const forms = [path, `${bare}.ts`, `${bare}.tsx`, `${path}/index.ts`, `${path}/index.tsx`];
      return forms.find((form) => known.has(form));
    });
}

/** @param {string} file @param {string} text @param {Set<string>} known */
function headersIn(file, text, known) {
  return [...text.matchAll(/^[ \t]*#[ \t]*include[ \t]*["<]([^">]+)[">]/gm)].map(([, name = '']) =>
    [posix.join(posix.dirname(file), name), posix.join('native', name)].find((path) => known.has(path)),
  );
}

/**
 * Returns the strongly connected components of more than one file (Tarjan 1972), and the files that import themselves.
 * @param {Map<string, string[]>} graph
 * @returns {Set<string>[]}
 */
function cyclicComponents(graph) {
  /** @type {Map<string, { index: number, low: number, open: boolean }>} */
  const marks = new Map();
  const stack = /** @type {string[]} */ ([]);
  const found = /** @type {Set<string>[]} */ ([]);
  for (const file of graph.keys()) if (!marks.has(file)) visit(file);
  return found;

  /** @param {string} file */
  function visit(file) {
    const mark = { index: marks.size, low: marks.size, open: true };
    marks.set(file, mark);
    stack.push(file);
    for (const next of graph.get(file) ?? []) {
      const known = marks.get(next) ?? visit(next);
      if (known.open) mark.low = Math.min(mark.low, known.low);
    }
    if (mark.low === mark.index) {
      const members = stack.splice(stack.indexOf(file));
      for (const member of members) /** @type {{ open: boolean }} */ (marks.get(member)).open = false;
      if (members.length > 1 || graph.get(file)?.includes(file)) found.push(new Set(members));
    }
    return mark;
  }
}

/**
 * Searches breadth first from each file of a component back to the file.
 * @param {Map<string, string[]>} graph @param {Set<string>} component
 */
function shortestCycle(graph, component) {
  const all = [...component].sort().map(loopFrom);
  return all.reduce((best, one) => (one.length < best.length ? one : best));

  /** @param {string} start @returns {string[]} */
  function loopFrom(start) {
    const paths = [[start]];
    const seen = new Set();
    for (const path of paths) {
      for (const next of graph.get(path[path.length - 1] ?? start) ?? []) {
        if (next === start) return [...path, start];
        if (!component.has(next) || seen.has(next)) continue;
        seen.add(next);
        paths.push([...path, next]);
      }
    }
    return [];
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const args = process.argv.slice(2);
  const limit = args.find((arg) => /^--max-files(=[1-9]\d*)?$/.test(arg));
  const folder = resolve(args.find((arg) => !arg.startsWith('--')) ?? root);
  const found = cycles(folder);
  if (limit) found.push(...crowdedFolders(folder, Number(limit.split('=')[1] ?? MAX_FILES)));
  for (const line of found) console.error(line);
  process.exit(found.length > 0 ? 1 : 0);
}
