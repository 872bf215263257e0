// @ts-check
/**
 * `npm run lint`: runs all formatters, linters and static checks for TypeScript and C++, two at a time, and prints the complete
 * output of those that fail. With `--fix` (`npm run format`), formatters write their changes.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root, walk } from './files.mjs';

const fix = process.argv.includes('--fix');
const node = process.execPath;
const native = walk(join(root, 'native'), (file) => {
  return /\.(cpp|h)$/.test(file);
});

/** @type {{ name: string, command: string[] }[]} */
const checks = [
  { name: 'clang-tidy', command: [node, 'scripts/tidy.mjs'] },
  { name: 'biome (TypeScript, JSON)', command: [node, 'node_modules/@biomejs/biome/bin/biome', ...biome()] },
  { name: 'types', command: [node, 'node_modules/typescript/bin/tsc', '-p', 'tsconfig.test.json'] },
  {
    name: 'types of the web page',
    command: [node, 'node_modules/typescript/bin/tsc', '-p', 'web/tsconfig.json'],
  },
  {
    name: 'types of the web page tests',
    command: [node, 'node_modules/typescript/bin/tsc', '-p', 'test/web/tsconfig.json'],
  },
  { name: 'clang-format', command: [node, 'node_modules/clang-format/index.js', ...format(), ...native] },
  { name: 'dependency directions', command: [node, 'scripts/check-dependencies.mjs'] },
  { name: 'families', command: [node, 'scripts/check-families.mjs'] },
  { name: 'prose', command: [node, 'scripts/check-prose.mjs'] },
  { name: 'import cycles, crowded folders', command: [node, 'scripts/check-cycles.mjs', '--max-files'] },
];

const started = Date.now();
const waiting = checks.filter(({ name }) => name !== 'clang-format' || native.length > 0);
const failed = /** @type {string[]} */ ([]);
await Promise.all([work(), work()]);
if (failed.length > 0) {
  console.error(`\nlint: ${failed.join(', ')} failed. \`npm run format\` fixes formatting.`);
  process.exit(1);
}
console.log(`lint: all passed in ${seconds(started)}`);

async function work() {
  for (let check = waiting.shift(); check; check = waiting.shift()) {
    const begun = Date.now();
    const { status, output } = await run(check.command);
    if (status !== 0) failed.push(check.name);
    console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${check.name} (${seconds(begun)})`);
    // A check that passes can print notes, such as the reason for which it skipped something.
    const notes = output.split('\n').filter((line) => status !== 0 || line.startsWith('note:'));
    if (notes.length > 0) console.log(notes.join('\n'));
  }
}

/** @param {string[]} command @returns {Promise<{ status: number | null, output: string }>} */
function run([executable = node, ...args]) {
  return new Promise((done, reject) => {
    const child = spawn(executable, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
    });
    child.stderr.on('data', (data) => {
      output += data;
    });
    child.on('error', reject).on('close', (status) => done({ status, output }));
  });
}

function biome() {
  return fix ? ['check', '--write'] : ['ci', '--colors=off'];
}

function format() {
  return fix ? ['-i'] : ['--dry-run', '-Werror'];
}

/** @param {number} since */
function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}
