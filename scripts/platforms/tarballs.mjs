// @ts-check
/**
 * Installs the packages as npm would publish them in an empty project on this machine, without a compiler, and runs `safelight
 * backends` and `safelight generate` there. Used on each system by .github/workflows/release.yml.
 *
 *   node scripts/platforms/tarballs.mjs FOLDER --write reference.png      writes the image
 *   node scripts/platforms/tarballs.mjs FOLDER --compare reference.png    fails if a value differs by more than 1 of 255
 *
 * FOLDER contains the files of `npm pack`. Imports nothing outside of Node.js, so that the clone need not be installed.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const TOLERANCE = 1;
const [folder, mode, reference] = process.argv.slice(2);
if (!folder || !reference || (mode !== '--write' && mode !== '--compare')) {
  console.error('usage: node scripts/platforms/tarballs.mjs FOLDER --write|--compare IMAGE');
  process.exit(2);
}
const project = mkdtempSync(join(tmpdir(), 'safelight-tarballs-'));
process.on('exit', () => rmSync(project, { recursive: true, force: true, maxRetries: 5 }));
const { glibcVersionRuntime } = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (
  process.report.getReport()
).header;
const libc = process.platform === 'linux' && !glibcVersionRuntime ? 'musl' : '';
const platform = `${process.platform}${libc}-${process.arch}`;

// npm calls the file of @safelight/linux-x64 safelight-linux-x64-VERSION.tgz.
const wanted = new RegExp(`^safelight-(?:${platform}-|starter-)?\\d.*\\.tgz$`);
const tarballs = readdirSync(folder).filter((name) => wanted.test(name));
if (tarballs.length !== 3)
  fail(`${folder} must contain safelight, starter and ${platform}, received ${tarballs.join(', ')}`);
writeFileSync(join(project, 'package.json'), '{ "private": true }');
const begun = performance.now();
const files = tarballs.map((name) => resolve(folder, name));
run(
  'npm',
  ['install', '--ignore-scripts', '--no-audit', '--no-fund', ...files],
  process.platform === 'win32',
);
console.log(`installed ${platform} in ${((performance.now() - begun) / 1000).toFixed(1)} s`);

const main = join(project, 'node_modules/safelight/dist/cli/main.js');
run(process.execPath, [main, 'backends']);
const image = join(project, 'apple.png');
const options = ['--seed', '1', '--steps', '4', '--backend', 'cpu', '-o', image];
run(process.execPath, [main, 'generate', 'a red apple', ...options]);
if (mode === '--write') copyFileSync(image, reference);
else await compare(reference, image);

/** @param {string} one @param {string} other */
async function compare(one, other) {
  const load = createRequire(join(project, 'node_modules/safelight/package.json'));
  const sharp = load('sharp');
  /** @type {Buffer[]} */
  const [a, b] = await Promise.all([one, other].map((file) => sharp(file).removeAlpha().raw().toBuffer()));
  if (!a || !b || a.length === 0 || a.length !== b.length)
    return fail(`Expected images of equal size, received ${a?.length} and ${b?.length} values`);
  const differences = Array.from(a, (value, i) => Math.abs(value - (b[i] ?? 0)));
  const most = differences.reduce((x, y) => Math.max(x, y), 0);
  const summary = `${platform}: largest difference ${most} of 255, ${differences.filter(Boolean).length} of ${a.length} values differ`;
  if (most > TOLERANCE) fail(summary);
  console.log(summary);
}

/** @param {string} program @param {string[]} args @param {boolean} [shell] */
function run(program, args, shell = false) {
  const quoted = shell ? args.map((argument) => `"${argument}"`) : args;
  const { status, error } = spawnSync(program, quoted, { cwd: project, stdio: 'inherit', shell });
  if (error) fail(`${program} cannot be run: ${error.message}`);
  if (status !== 0) fail(`${program} ${args.join(' ')} ended with exit code ${status}`);
}

/** @param {string} message @returns {never} */
function fail(message) {
  console.error(message);
  process.exit(1);
}
