// @ts-check
/**
 * Runs clang-tidy on native/ with the compile commands of the last build. Files that passed are recorded in .build/tidy with
 * a hash of their contents and of the headers of native/ that they include, so that only changed files are checked again.
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
/**
 * One compile command per file. A kernel is compiled once per instruction set; its portable command is chosen, because clang
 * lacks some of GCC's names for intrinsics.
 */
const ours = new Map(
  commands
    .map((entry) => ({ ...entry, file: resolve(entry.directory, entry.file) }))
    .filter(({ file }) => file.startsWith(join(root, 'native/')) && existsSync(file))
    .toSorted((a, b) => Number(isPortable(a)) - Number(isPortable(b)))
    .map((entry) => [entry.file, entry]), // the last entry of a file wins
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

// The npm package contains only the executable; the compiler's builtin headers (stddef.h) come from the installed GCC.
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

/** @param {string} file @returns {Promise<string>} the findings; empty if there are none */
function check(file) {
  return new Promise((done, reject) => {
    const args = [tidy, '--quiet', `-p=${folder}`, '--warnings-as-errors=*', ...extra, file];
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let findings = '';
    let errors = '';
    child.stdout.on('data', (data) => {
      findings += data;
    });
    child.stderr.on('data', (data) => {
      errors += data;
    });
    child
      .on('error', reject)
      .on('close', (status) => done(status === 0 ? '' : findings || errors || `${file}: failed`));
  });
}

/**
 * Returns a file and the headers of native/ that it includes, directly or through other headers.
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

function reasonToSkip() {
  if (!existsSync(join(root, '.clang-tidy'))) return '.clang-tidy does not exist';
  if (!existsSync(database))
    return 'build/compile_commands.json does not exist; npm run build:native writes it';
  if (spawnSync(process.execPath, [tidy, '--version']).status !== 0) {
    return `its package has no executable for ${process.platform}-${process.arch}`;
  }
  return undefined;
}
