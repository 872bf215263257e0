// @ts-check
/**
 * `npm run check:backend -- BACKEND`: on a machine that has the device, after `npm run build:native -- --BACKEND`, compares what it computes with
 * the CPU through the command line: the starter's image, within 3 of 255, and its code indices, of which one in a hundred may be a neighbor's.
 *
 *   node scripts/check-backend.mjs metal|cuda|vulkan[:DEVICE]
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { root } from './files.mjs';

/** Of 255; a GPU rounds otherwise than the CPU. */
const TOLERANCE = 3;
/** The share of code indices that may be those of a neighbor, which rounding can make the nearest. */
const CODES = 0.01;
const SIZE = ['--width', '96', '--height', '96'];

const backend = process.argv[2];
if (!backend || !/^(cuda|metal|vulkan)(:.+)?$/.test(backend)) fail('name a backend: cuda, metal or vulkan');
const folder = mkdtempSync(join(tmpdir(), 'safelight-check-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

console.log(safelight('backends'));
/** @type {{ name: string, opens: boolean, problem?: string }[]} */
const devices = JSON.parse(safelight('backends', '--json'));
if (!devices.some(({ name, opens }) => opens && name === backend.split(':')[0]))
  fail(`no device of ${backend} opens`);

const [expected, image] = [await generate('cpu'), await generate(backend)];
compare(expected, image);
const codes = [encode('cpu'), encode(backend)];
const [here = [], there = []] = codes;
if (here.length === 0 || here.length !== there.length)
  fail(`there are ${here.length} code indices on the CPU and ${there.length} on ${backend}`);
const differ = here.filter((code, i) => code !== there[i]).length;
if (differ > here.length * CODES) fail(`${differ} of ${here.length} code indices differ from the CPU`);
console.log(`${differ} of ${here.length} code indices differ from the CPU`);

/** @param {string} where @returns {Promise<Buffer>} the pixels */
async function generate(where) {
  const file = join(folder, `${where === 'cpu' ? 'cpu' : 'device'}.png`);
  const begun = performance.now();
  safelight('generate', 'a red apple', '--seed', '1', '--steps', '4', '--backend', where, '-o', file);
  console.log(`generate on ${where}: ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  return sharp(file).removeAlpha().raw().toBuffer();
}

/** The code indices of the CPU's image. @param {string} where @returns {number[]} */
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
  const said = `largest difference of the images ${most} of 255, mean ${mean.toFixed(3)}`;
  if (most > TOLERANCE) fail(`${said}: more than ${TOLERANCE}`);
  console.log(said);
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
  // An addon that aborts while the process ends has drawn its image: that counts as a failure too.
  if (status !== 0) fail(`safelight ${args.join(' ')} ended with ${signal ?? status}:\n${stderr}`);
  return stdout.trim();
}

/** @param {string} message @returns {never} */
function fail(message) {
  console.error(`check-backend: ${message}`);
  process.exit(1);
}
