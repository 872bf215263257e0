// @ts-check
/**
 * Fails on an import or include against the dependency order of ARCHITECTURE.md:
 *
 *     cli -> {server, ai, doctor} -> mcp -> jobs -> {pipelines, tools} -> options -> families -> {adapters, conditioning} -> {sampling, modules}
 *         -> checkpoint -> {tokenizers, image} -> {tensor, hub} -> {binding, files}   (lib/)
 *     addon -> models -> nn -> {kernels, runtime} -> ggml                              (native/)
 *
 * A file may import from its own folder and from any lower layer, but not from another folder of its layer.
 *
 *     node scripts/check-dependencies.mjs [FOLDER]
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, walk } from './files.mjs';

/** Layers of lib/, from the top down. */
const LIB = [
  ['cli'],
  ['server', 'ai', 'doctor'],
  ['mcp'],
  ['jobs'],
  ['pipelines', 'tools'],
  ['options'],
  ['families'],
  ['adapters', 'conditioning'],
  ['sampling', 'modules'],
  ['checkpoint'],
  ['tokenizers', 'image'],
  ['tensor', 'hub'],
  ['binding', 'files'],
];
/** Layers of native/, from the top down. */
const NATIVE = [['addon'], ['models'], ['nn'], ['kernels', 'runtime']];
/** Headers of POSIX systems and of Windows, which only the folders platform/ may include. */
const SYSTEM =
  /^(?:(?:sys|mach)\/.*|(?:unistd|fcntl|pthread|sched|signal|dlfcn|link|windows|winbase|process|io|psapi)\.h)$/;
/** Files that may include them. */
const PLATFORM = /^(?:(?:runtime|kernels)\/platform\/(?:posix|linux|darwin|windows)|addon\/windows)\//;
/** Files that every layer may import. */
const COMMON = new Set(['errors.ts', 'warnings.ts', 'runtime/error.h']);
for (const file of ['defined.ts', 'known-keys.ts', 'package.ts', 'suggest.ts']) COMMON.add(file);

/**
 * Returns one message per import or include that breaks a rule.
 * @param {string} folder a package's folder that contains lib/ and native/
 * @returns {string[]}
 */
export function violations(folder) {
  return [...typescriptViolations(join(folder, 'lib')), ...cppViolations(join(folder, 'native'))];
}

/** @param {string} lib */
function typescriptViolations(lib) {
  const found = [];
  for (const file of walk(lib, (path) => path.endsWith('.ts'))) {
    const from = slashes(relative(lib, file));
    for (const { specifier } of importsOf(readFileSync(file, 'utf8'))) {
      if (!specifier.startsWith('.')) continue;
      const to = slashes(relative(lib, resolve(dirname(file), specifier.replace(/\.js$/, '.ts'))));
      if (to.startsWith('../')) continue; // package.json and the like
      if (COMMON.has(to)) continue;
      const problem = brokenRule(from, to, LIB);
      if (problem) found.push(`lib/${from} imports lib/${to}: ${problem}`);
    }
  }
  return found;
}

/** @param {string} native */
function cppViolations(native) {
  const found = [];
  for (const file of walk(native, (path) => /\.(cpp|h|hpp|c|cc|cu)$/.test(path))) {
    const from = slashes(relative(native, file));
    if (from.startsWith('ggml/')) continue;
    for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(
      /^[ \t]*#[ \t]*include[ \t]*["<]([^">]+)[">]/gm,
    )) {
      if (/^(napi|node_api|js_native_api|uv|v8|node)\b.*\.h$/.test(name) && !from.startsWith('addon/')) {
        found.push(`native/${from} includes ${name}: only native/addon may use Node's headers`);
        continue;
      }
      if (SYSTEM.test(name) && !PLATFORM.test(from))
        found.push(`native/${from} includes ${name}: only the folders platform/ may use headers of a system`);
      const target = [join(dirname(file), name), join(native, name)].find((path) => existsSync(path));
      if (!target) continue; // a header of the system, Node or ggml
      const to = slashes(relative(native, normalize(target)));
      if (COMMON.has(to) || to.startsWith('ggml/')) continue;
      const problem = brokenRule(from, to, NATIVE);
      if (problem) found.push(`native/${from} includes native/${to}: ${problem}`);
    }
  }
  return found;
}

/**
 * @param {string} from @param {string} to @param {string[][]} layers
 * @returns {string | undefined} the broken rule
 */
function brokenRule(from, to, layers) {
  const [source, target] = [folderOf(from), folderOf(to)];
  if (source === target) return undefined;
  // The root of lib/ is the public entry: it may import everything, and no other file may import it.
  if (source === '') return undefined;
  if (target === '') return 'the root contains the public exports; import the file that declares the name';
  const [above, below] = [layerOf(source, layers), layerOf(target, layers)];
  if (above < 0) return `${source}/ is in no layer of scripts/check-dependencies.mjs`;
  if (below < 0) return `${target}/ is in no layer of scripts/check-dependencies.mjs`;
  if (above === below) return `${source} and ${target} are in the same layer`;
  return above > below ? `${source} is below ${target}` : undefined;
}

/**
 * Returns the static, side-effect and dynamic imports and the re-exports of a module. Comments are ignored.
 * @param {string} text
 */
export function importsOf(text) {
  const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const found = [];
  const pattern =
    /\b(?:import|export)\s+(type\s+)?(?:[\w*${}\s,]+?\s+from\s+)?['"]([^'"]+)['"]|\bimport\s*\(\s*['"]([^'"]+)['"]/g;
  for (const [, type, fixed, dynamic] of code.matchAll(pattern)) {
    found.push({ specifier: fixed ?? dynamic ?? '', typeOnly: type !== undefined });
  }
  return found;
}

/** @param {string} path */
function folderOf(path) {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : '';
}

/** @param {string} folder @param {string[][]} layers */
function layerOf(folder, layers) {
  return layers.findIndex((layer) => layer.includes(folder));
}

/** @param {string} path */
function slashes(path) {
  return path.split(sep).join('/');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const found = violations(resolve(process.argv[2] ?? root));
  for (const line of found) console.error(line);
  process.exit(found.length > 0 ? 1 : 0);
}
