// @ts-check
/**
 * clang-tidy over native/, with the compile commands of the last build. What passed is remembered (by the contents of the file
 * and of our headers that it includes) under .build/, so that only what changed is read again.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fingerprint, lockedIntegrity, root } from './files.mjs';

const tidy = join(root, 'node_modules/clang-tidy/src/index.js');
const database = join(root, 'build/compile_commands.json');
const folder = join(root, '.build/tidy');
const cacheFile = join(folder, 'passed.json');

const skip = reasonToSkip();
if (skip) {
  console.log(`note: clang-tidy skipped: ${skip}`);
  process.exit(0);
}

const tools = ['clang-tidy', 'ggml-source', 'node-addon-api'].map(lockedIntegrity);
/** @type {Record<string, string>} */
const passed = existsSync(cacheFile) ? JSON.parse(readFileSync(cacheFile, 'utf8')) : {};
/** @type {{ file: string, directory: string, command?: string, arguments?: string[] }[]} */
const commands = JSON.parse(readFileSync(database, 'utf8'));
/** One command a file: of a kernel, which is compiled once for each instruction set, the portable one, as clang knows GCC's intrinsics by other names. */
const ours = new Map(
  commands
    .map((entry) => ({ ...entry, file: resolve(entry.directory, entry.file) }))
    .filter(({ file }) => file.startsWith(join(root, 'native/')) && !copied(file) && existsSync(file))
    .toSorted((a, b) => Number(isPortable(a)) - Number(isPortable(b)))
    .map((entry) => [entry.file, entry]), // the last of a file counts
);
const queue = [...ours.values()]
  .map((entry) => ({
    file: entry.file,
    key: fingerprint(
      [join(root, '.clang-tidy'), ...withOwnHeaders(entry.file)],
      [...tools, entry.command ?? String(entry.arguments)],
    ),
  }))
  .filter(({ file, key }) => passed[file] !== key);
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'compile_commands.json'), JSON.stringify([...ours.values()]));

// The package is the bare program: the compiler's own headers (stddef.h) come from the installed GCC.
const builtin = spawnSync('g++', ['-print-file-name=include'], { encoding: 'utf8' }).stdout?.trim();
const extra = builtin ? [`--extra-arg=-isystem${builtin}`] : [];
let failures = 0;
await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, work));
writeFileSync(cacheFile, JSON.stringify(passed));
process.exit(failures > 0 ? 1 : 0);

async function work() {
  for (let next = queue.shift(); next; next = queue.shift()) {
    const { file, key } = next;
    const output = await check(file);
    if (output === '') {
      passed[file] = key;
    } else {
      failures++;
      console.log(output);
    }
  }
}

/** @param {string} file @returns {Promise<string>} what it found, empty for nothing */
function check(file) {
  return new Promise((done, reject) => {
    const args = [tidy, '--quiet', `-p=${folder}`, '--warnings-as-errors=*', ...extra, file];
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let found = '';
    let trouble = '';
    child.stdout.on('data', (data) => {
      found += data;
    });
    child.stderr.on('data', (data) => {
      trouble += data;
    });
    child
      .on('error', reject)
      .on('close', (status) => done(status === 0 ? '' : found || trouble || `${file}: failed`));
  });
}

/**
 * A file and the headers of native/ that it includes, directly or not.
 * @param {string} file
 * @param {Set<string>} seen
 */
function withOwnHeaders(file, seen = new Set()) {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(/^[ \t]*#[ \t]*include[ \t]*"([^"]+)"/gm)) {
    const found = [join(dirname(file), name), join(root, 'native', name)].find((path) => existsSync(path));
    if (found) withOwnHeaders(found, seen);
  }
  return seen;
}

/** @param {{ command?: string, arguments?: string[] }} entry */
function isPortable({ command, arguments: words }) {
  return !/-mavx/.test(command ?? String(words));
}

/** @param {string} file the copy of ggml that npm pack makes is not ours to lint */
function copied(file) {
  return file.startsWith(join(root, 'native/ggml/'));
}

function reasonToSkip() {
  if (!existsSync(join(root, '.clang-tidy'))) return 'there is no .clang-tidy';
  if (!existsSync(database))
    return 'there is no build/compile_commands.json (npm run build:native writes it)';
  if (spawnSync(process.execPath, [tidy, '--version']).status !== 0) {
    return `its package has no program for ${process.platform}-${process.arch}; the compiler's warnings remain`;
  }
  return undefined;
}
