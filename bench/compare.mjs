// @ts-check
/**
 * Compares Safelight with diffusers on PyTorch, OpenVINO and stable-diffusion.cpp on this machine's CPU, in f32 and in lower
 * precision: median seconds of one U-Net evaluation, one decode and one text encoding with random weights, with interleaved
 * runs. Prints a table and writes JSON. Requires the CMake build of `npm run prepare`. Runs on Linux only, because it reads
 * /proc.
 *
 *   bench/peers/install.sh                       installs the peers, once
 *   node bench/compare.mjs [--python .peers/bin/python] [--families sd1,sdxl] [--cells REGEX] [--runs 3] [--threads N] [--json compare.json]
 *                          [--peers safelight,safelight-bf16,...] [--scaling] [--checkpoints FOLDER] [--program kernels-bench]
 *
 * Columns: seconds; 10^9 operations per second; their share of the processor's peak in the peer's number format, measured before
 * and after each run; the ratio of seconds to those of the first peer, which is measured with all others; peak private memory;
 * the first run after loading relative to the median. --scaling also measures Safelight with one thread and adds the speedup.
 *
 * Operations are those of a direct evaluation (bench/peers/count.py), so shares can exceed 100 % where Winograd convolutions need
 * fewer. bench/peers/table.mjs lists the peers and says which are measured together. A peer that fails is left out, and the exit
 * status is 1. The first measurement of a cell exports OpenVINO's models, which takes up to 15 minutes per cell; they are kept in
 * --checkpoints (bench/peers/openvino_peer.py).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Contender } from './contender.mjs';
import { median } from './measure.mjs';
import { buildKernelsBench, FORMATS, Peaks } from './peers/peaks.mjs';
import { commandOf, groups, PEERS } from './peers/table.mjs';

/** @typedef {import('./peers/table.mjs').Cell} Cell */
/** @typedef {import('./peers/table.mjs').Format} Format */

/** 10^9 multiply-adds by side length of the latent, or by tokens, batch 1. @type {Record<string, Record<number, number>>} */
const WORK = {
  'sd1 unet': { 32: 90.05, 64: 401.64 },
  'sdxl unet': { 32: 213.89, 64: 794.39 },
  'sd1 decoder': { 32: 311.09, 64: 1257.26 },
  'sd1 text': { 77: 6.65 }, // 12 layers x 77 tokens x (4 x 768² + 2 x 768 x 3072 + 2 x 77 x 768)
};

/** Factor of the number of runs of a text encoder, which takes less than 0.1 s. */
const SHORT = 5;

const { values: given } = parseArgs({
  options: {
    python: { type: 'string', default: '.peers/bin/python' },
    families: { type: 'string', default: 'sd1,sdxl' },
    cells: { type: 'string', default: '' },
    peers: { type: 'string', default: Object.keys(PEERS).join() },
    runs: { type: 'string', default: '3' },
    threads: { type: 'string', default: '2' },
    scaling: { type: 'boolean', default: false },
    checkpoints: { type: 'string', default: join(tmpdir(), 'safelight-bench') },
    program: { type: 'string' },
    json: { type: 'string', default: 'compare.json' },
  },
});
const runs = Number(given.runs);
const threads = Number(given.threads);
const names = given.peers.split(',');
for (const name of names) {
  if (!PEERS[name])
    throw new Error(
      `Expected --peers of ${Object.keys(PEERS).join(', ')}; received ${JSON.stringify(name)}.`,
    );
}

/**
 * A loaded peer. `seconds` are those of its runs in one group, without the first, and `peaks` those of its number format at the
 * time of each.
 * @typedef {{ name: string, contender: Contender, threads: number, format: Format, inferencePrecision: string | undefined,
 *   bytes: number, first: number, seconds: number[], peaks: number[] }} Entry
 */
/**
 * A peer's measurement in a group: `ratio` of its median to the reference's, and the seconds with one thread.
 * @typedef {Entry & { ratio: number, single: number[] }} Measured
 */

/** @type {Record<string, unknown>[]} */
const rows = [];
const peaks = new Peaks(given.program ?? buildKernelsBench(), threads);
const initial = await initialPeaks();
const listed = FORMATS.map(
  (format) => `${format} ${initial[format] ? `${Math.round(initial[format])} ${unit(format)}` : 'no units'}`,
);
console.log(`${cpus()[0]?.model.trim()}, ${threads} threads; peaks: ${listed.join(', ')}\n`);
try {
  for (const family of given.families.split(',')) {
    const checkpoint = randomCheckpoint(family);
    for (const cell of cells(family).filter((cell) => new RegExp(given.cells).test(label(cell)))) {
      await measure(cell, checkpoint);
      writeFileSync(
        given.json,
        `${JSON.stringify({ cpu: cpus()[0]?.model, threads, runs, peaks: initial, rows }, undefined, 1)}\n`,
      );
    }
  }
} finally {
  peaks.end();
}

/** @param {string} family @returns {Cell[]} */
function cells(family) {
  /** @type {Cell[]} */
  const all = [];
  for (const side of [32, 64]) for (const batch of [1, 2]) all.push({ family, module: 'unet', side, batch });
  if (family !== 'sd1') return all;
  all.push({ family, module: 'unet', side: 32, batch: 4 });
  for (const side of [32, 64]) all.push({ family, module: 'decoder', side, batch: 1 });
  all.push({ family, module: 'text', side: 77, batch: 1 });
  return all;
}

/**
 * Measures the groups of a cell and reports one row per peer. The reference's is that of the group in which it was faster, because
 * a shared machine's speed changes from group to group.
 * @param {Cell} cell @param {string} checkpoint
 */
async function measure(cell, checkpoint) {
  /** @type {Map<string, Measured>} */
  const found = new Map();
  for (const group of groups(cell, names)) {
    const entries = await measureGroup(cell, group, checkpoint);
    const reference = median(entries[0]?.seconds ?? []);
    for (const entry of entries.filter((entry) => entry.threads === threads)) {
      const { name, seconds } = entry;
      if (median(found.get(name)?.seconds ?? []) < median(seconds)) continue;
      found.set(name, {
        ...entry,
        ratio: median(seconds) / reference,
        single: entries.find((other) => other.name === name && other !== entry)?.seconds ?? [],
      });
    }
  }
  for (const name of names) {
    const measured = found.get(name);
    if (measured) report(cell, measured);
  }
}

/**
 * Loads peers and runs them in turns. The peak is measured before and after each run, because a shared machine's
 * speed changes within seconds.
 * @param {Cell} cell @param {string[]} group @param {string} checkpoint
 * @returns {Promise<Entry[]>}
 */
async function measureGroup(cell, group, checkpoint) {
  /** @type {Entry[]} */
  const entries = [];
  try {
    for (const name of group) {
      try {
        entries.push(await start(cell, name, threads, checkpoint));
        if (given.scaling && threads > 1 && PEERS[name]?.program === 'safelight')
          entries.push(await start(cell, name, 1, checkpoint));
      } catch (error) {
        if (name === group[0]) throw error;
        console.error(
          `${label(cell)}: ${name} is left out: ${error instanceof Error ? error.message : error}`,
        );
        process.exitCode = 1;
      }
    }
    const rounds = cell.module === 'text' ? SHORT * runs : runs;
    for (let i = 0; i < rounds; i++) {
      for (const entry of entries) {
        const before = await peaks.measure(entry.format);
        entry.seconds.push(await entry.contender.run());
        entry.peaks.push((before + (await peaks.measure(entry.format))) / 2);
      }
    }
    return entries;
  } finally {
    await Promise.all(entries.map(({ contender }) => contender.end()));
  }
}

/**
 * Loads a peer and runs it once.
 * @param {Cell} cell @param {string} name @param {number} count of threads @param {string} checkpoint
 * @returns {Promise<Entry>}
 */
async function start(cell, name, count, checkpoint) {
  const peer = /** @type {import('./peers/table.mjs').Peer} */ (PEERS[name]);
  const env = { PEERS_CHECKPOINT: checkpoint, PEERS_TMP: given.checkpoints, ...peer.env };
  const contender = new Contender(name, commandOf(peer, given.python), env);
  try {
    const loaded = await contender.send({ cmd: 'load', ...cell, threads: count });
    const { precision: format = peer.format, inferencePrecision } = loaded;
    let first = Number.NaN;
    const bytes = await contender.peakMemory(async () => {
      first = await contender.run();
    });
    return {
      name,
      contender,
      threads: count,
      format,
      inferencePrecision,
      bytes,
      first,
      seconds: [],
      peaks: [],
    };
  } catch (error) {
    await contender.end();
    throw error;
  }
}

/** @param {Cell} cell @param {Measured} measured */
function report(cell, measured) {
  const { name: peer, format, inferencePrecision, bytes, first, seconds, single, ratio } = measured;
  const time = median(seconds);
  const work = WORK[`${cell.family} ${cell.module}`]?.[cell.side] ?? Number.NaN;
  const operations = 2 * work * cell.batch;
  const gops = operations / time;
  const peak = median(measured.peaks);
  const share = peak
    ? median(seconds.map((each, i) => operations / each / (measured.peaks[i] ?? Number.NaN)))
    : 0;
  const firstRatio = PEERS[peer]?.program === 'sdcpp' ? Number.NaN : first / time; // its time is that of a later step
  const speedup = median(single) / time;
  rows.push({
    cell: label(cell),
    peer,
    format,
    inferencePrecision,
    seconds: time,
    runs: seconds,
    gops,
    peak,
    share: peak ? share : undefined,
    ratio,
    firstSeconds: first,
    firstRatio,
    ...(single.length > 0 && { secondsOneThread: median(single), speedup }),
    privateBytes: bytes,
  });
  console.log(
    [
      label(cell).padEnd(20),
      peer.padEnd(17),
      `${time.toFixed(3)} s`.padStart(9),
      `${Math.round(gops)} ${unit(format).padEnd(6)}`.padStart(12),
      (peak ? `${Math.round(100 * share)} % of ${format}` : '').padStart(15),
      `${ratio.toFixed(2)} x`.padStart(9),
      `${Math.round(bytes / 1e6)} MB`.padStart(9),
      (firstRatio ? `first ${firstRatio.toFixed(2)} x` : '').padStart(14),
      single.length > 0 ? `${threads} threads ${speedup.toFixed(2)} x`.padStart(19) : '',
    ]
      .join('')
      .trimEnd(),
  );
}

/** @param {Cell} cell */
function label({ family, module, side, batch }) {
  return `${family} ${module}${module === 'text' ? '' : ` ${8 * side}²`} b${batch}`;
}

/** @param {Format} format */
function unit(format) {
  return format === 'int8' ? 'GOPS' : 'GFLOPS';
}

/** Returns the median of five measurements of each peak. */
async function initialPeaks() {
  const found = { f32: 0, bf16: 0, int8: 0 };
  for (const format of FORMATS) {
    const all = [];
    for (let i = 0; i < 5; i++) all.push(await peaks.measure(format));
    found[format] = median(all);
  }
  return found;
}

/** @param {string} family */
function randomCheckpoint(family) {
  const path = join(given.checkpoints, `${family}.safetensors`);
  if (existsSync(path)) return path;
  mkdirSync(given.checkpoints, { recursive: true });
  const { status } = spawnSync(
    process.execPath,
    [join(import.meta.dirname ?? '.', 'random-checkpoint.mjs'), family, path],
    {
      stdio: 'inherit',
    },
  );
  if (status !== 0) throw new Error(`The random checkpoint ${path} could not be written`);
  return path;
}
