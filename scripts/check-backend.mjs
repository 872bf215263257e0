// @ts-check
/**
 * `npm run check:backend -- BACKEND`: compares a GPU backend with the CPU through the command line. The image of the starter
 * model may differ by 3 of 255, and 1 % of the code indices may differ. Requires the device, and the backend built by
 * `npm run build:native -- --BACKEND`.
 *
 *   node scripts/check-backend.mjs metal|cuda|vulkan[:DEVICE]
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { root } from './files.mjs';

/** Largest difference of a color value, of 255. GPU and CPU round differently. */
const TOLERANCE = 3;
/** Share of code indices that may differ: rounding can make a neighboring codebook entry the nearest. */
const CODES_TOLERANCE = 0.01;
const SIZE = ['--width', '96', '--height', '96'];

const backend = process.argv[2];
if (!backend || !/^(cuda|metal|vulkan)(:.+)?$/.test(backend))
  fail('pass a backend: cuda, metal or vulkan, optionally with a device such as vulkan:1');
const folder = mkdtempSync(join(tmpdir(), 'safelight-check-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

console.log(safelight('backends'));
/** @type {{ name: string, opens: boolean, problem?: string }[]} */
const devices = JSON.parse(safelight('backends', '--json'));
if (!devices.some(({ name, opens }) => opens && name === backend.split(':')[0]))
  fail(`no ${backend} device can be opened`);

const [expected, image] = [await generate('cpu'), await generate(backend)];
compare(expected, image);
const codes = [encode('cpu'), encode(backend)];
const [here = [], there = []] = codes;
if (here.length === 0 || here.length !== there.length)
  fail(
    `expected the same number of code indices, received ${here.length} on the CPU and ${there.length} on ${backend}`,
  );
const differ = here.filter((code, i) => code !== there[i]).length;
if (differ > here.length * CODES_TOLERANCE)
  fail(`${differ} of ${here.length} code indices differ from the CPU`);
console.log(`${differ} of ${here.length} code indices differ from the CPU`);

/** @param {string} where a backend @returns {Promise<Buffer>} RGB bytes of the image */
async function generate(where) {
  const file = join(folder, `${where === 'cpu' ? 'cpu' : 'device'}.png`);
  const begun = performance.now();
  safelight('generate', 'a red apple', '--seed', '1', '--steps', '4', '--backend', where, '-o', file);
  console.log(`generate on ${where}: ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  return sharp(file).removeAlpha().raw().toBuffer();
}

/** Returns the code indices that a backend computes for the CPU's image. @param {string} where @returns {number[]} */
function encode(where) {
  const { codes: rows } = JSON.parse(
    safelight('codes', join(folder, 'cpu.png'), ...SIZE, '--json', '--backend', where),
  );
  return rows.flat();
}

/** @param {Buffer} one @param {Buffer} other */
function compare(one, other) {
  if (one.length !== other.length || one.length === 0)
    fail(`the images have ${one.length} and ${other.length} bytes`);
  const differences = Array.from(one, (value, i) => Math.abs(value - (other[i] ?? 0)));
  const most = differences.reduce((a, b) => Math.max(a, b), 0);
  const mean = differences.reduce((a, b) => a + b, 0) / differences.length;
  const summary = `largest difference of the images ${most} of 255, mean ${mean.toFixed(3)}`;
  if (most > TOLERANCE) fail(`${summary}; at most ${TOLERANCE} is accepted`);
  console.log(summary);
}

/** @param {string[]} args @returns {string} stdout */
function safelight(...args) {
  const { stdout, stderr, status, signal } = spawnSync(
    process.execPath,
    [join(root, 'dist/cli/main.js'), ...args],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  // A crash at exit, after the image was written, counts as a failure too.
  if (status !== 0) fail(`safelight ${args.join(' ')} ended with ${signal ?? status}:\n${stderr}`);
  return stdout.trim();
}

/** @param {string} message @returns {never} */
function fail(message) {
  console.error(`check-backend: ${message}`);
  process.exit(1);
}
