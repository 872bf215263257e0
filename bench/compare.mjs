// @ts-check
/**
 * Compares Safelight with diffusers on PyTorch, OpenVINO and stable-diffusion.cpp on this machine's CPU: median seconds of one
 * U-Net evaluation and of one decode with random weights, with interleaved runs. Prints a table and writes JSON. Runs on Linux
 * only, because it reads /proc.
 *
 *   bench/peers/install.sh                       installs the peers, once
 *   node bench/compare.mjs [--python .peers/bin/python] [--families sd1,sdxl] [--cells REGEX] [--runs 3] [--threads N] [--json compare.json]
 *                          [--peers safelight,safelight-q8_0,torch,openvino,sdcpp]
 *
 * Multiply-adds are those of a direct evaluation (bench/peers/count.py), so "% of peak" can exceed 100 where Winograd
 * convolutions need fewer. For SDXL, each contender is measured together with Safelight only, because the f32 weights of all of
 * them do not fit into 24 GB.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Contender } from './contender.mjs';
import { median } from './measure.mjs';

/** 10^9 multiply-adds by side length of the latent, batch 1. @type {Record<string, Record<number, number>>} */
const WORK = {
  'sd1 unet': { 32: 90.05, 64: 401.64 },
  'sdxl unet': { 32: 213.89, 64: 794.39 },
  decoder: { 32: 311.09, 64: 1257.26 },
};

const { values: given } = parseArgs({
  options: {
    python: { type: 'string', default: '.peers/bin/python' },
    families: { type: 'string', default: 'sd1,sdxl' },
    cells: { type: 'string', default: '' },
    peers: { type: 'string', default: 'safelight,safelight-q8_0,torch,openvino,sdcpp' },
    runs: { type: 'string', default: '3' },
    threads: { type: 'string', default: '2' },
    checkpoints: { type: 'string', default: join(tmpdir(), 'safelight-bench') },
    json: { type: 'string', default: 'compare.json' },
  },
});
const python = given.python;
const runs = Number(given.runs);
const threads = Number(given.threads);
const here = import.meta.dirname ?? '.';
const peers = given.peers.split(',');

/** @typedef {{ family: string, module: 'unet' | 'decoder', side: number, batch: number }} Cell */
/** @typedef {{ cell: string, peer: string, seconds: number, gflops: number, share: number, ratio: number, privateBytes: number }} Row */

/** @type {Row[]} */
const rows = [];
const peak = await matmulPeak();
console.log(
  `${cpus()[0]?.model.trim()}, ${threads} threads; matrix product (PyTorch, 3072²): ${Math.round(peak)} GFLOPS\n`,
);
for (const family of given.families.split(',')) {
  const checkpoint = randomCheckpoint(family);
  for (const cell of cells(family).filter((cell) => new RegExp(given.cells).test(label(cell)))) {
    for (const group of groups(cell)) await measure(cell, group, checkpoint);
  }
}
writeFileSync(
  given.json,
  `${JSON.stringify({ cpu: cpus()[0]?.model, threads, runs, matmulGflops: peak, rows }, undefined, 1)}\n`,
);

/** @param {string} family @returns {Cell[]} */
function cells(family) {
  /** @type {Cell[]} */
  const all = [];
  for (const side of [32, 64]) for (const batch of [1, 2]) all.push({ family, module: 'unet', side, batch });
  if (family === 'sd1') for (const side of [32, 64]) all.push({ family, module: 'decoder', side, batch: 1 });
  return all;
}

/**
 * Returns the peers that are measured together. stable-diffusion.cpp supports only batch 1 here and takes minutes above 256
 * pixels, so it is measured at 256 pixels only.
 * @param {Cell} cell
 */
function groups(cell) {
  const able = peers.filter((peer) => peer !== 'sdcpp' || (cell.side === 32 && cell.batch === 1));
  if (cell.family === 'sd1') return [able];
  return able.filter((peer) => peer !== 'safelight').map((peer) => ['safelight', peer]);
}

/** @param {Cell} cell @param {string[]} group @param {string} checkpoint */
async function measure(cell, group, checkpoint) {
  const all = group.map((peer) => new Contender(peer, ...command(peer, checkpoint)));
  try {
    /** @type {Map<Contender, { bytes: number, seconds: number[] }>} */
    const found = new Map();
    for (const contender of all) {
      await contender.send({ cmd: 'load', threads, ...cell });
      found.set(contender, { bytes: await contender.peakMemory(() => contender.run()), seconds: [] });
    }
    for (let i = 0; i < runs; i++) {
      for (const [contender, { seconds }] of found) seconds.push(await contender.run());
    }
    const ours = median(found.get(/** @type {Contender} */ (all[0]))?.seconds ?? []);
    for (const [{ name }, { bytes, seconds }] of found) report(cell, name, median(seconds), ours, bytes);
  } finally {
    await Promise.all(all.map((contender) => contender.end()));
  }
}

/** @param {Cell} cell @param {string} peer @param {number} seconds @param {number} ours @param {number} bytes */
function report(cell, peer, seconds, ours, bytes) {
  const work = WORK[cell.module === 'decoder' ? 'decoder' : `${cell.family} unet`]?.[cell.side] ?? Number.NaN;
  const gflops = (2 * work * cell.batch) / seconds;
  rows.push({
    cell: label(cell),
    peer,
    seconds,
    gflops,
    share: gflops / peak,
    ratio: seconds / ours,
    privateBytes: bytes,
  });
  console.log(
    [
      label(cell).padEnd(20),
      peer.padEnd(15),
      `${seconds.toFixed(2)} s`.padStart(9),
      `${Math.round(gflops)} GFLOPS`.padStart(12),
      `${Math.round((100 * gflops) / peak)} % of peak`.padStart(15),
      `${(seconds / ours).toFixed(2)} x`.padStart(8),
      `${Math.round(bytes / 1e6)} MB`.padStart(10),
    ].join(''),
  );
}

/** @param {Cell} cell */
function label({ family, module, side, batch }) {
  return `${family} ${module} ${8 * side}² b${batch}`;
}

/** @param {string} peer @param {string} checkpoint @returns {[string[], NodeJS.ProcessEnv]} */
function command(peer, checkpoint) {
  const env = { PEERS_CHECKPOINT: checkpoint, PEERS_TMP: given.checkpoints };
  if (!peer.startsWith('safelight')) return [[python, join(here, `peers/${peer}_peer.py`)], env];
  const storage = peer.split('-')[1];
  return [
    [process.execPath, join(here, 'peers/safelight_peer.mjs')],
    { ...env, ...(storage && { PEERS_STORAGE: storage }) },
  ];
}

/** Measures the GFLOPS of PyTorch's product of two large matrices, an upper bound for direct convolutions. */
async function matmulPeak() {
  const contender = new Contender('torch', ...command('torch', ''));
  try {
    await contender.send({ cmd: 'load', module: 'matmul', threads });
    return (2 * 3072 ** 3) / (await contender.run()) / 1e9;
  } finally {
    await contender.end();
  }
}

/** @param {string} family */
function randomCheckpoint(family) {
  const path = join(given.checkpoints, `${family}.safetensors`);
  if (existsSync(path)) return path;
  mkdirSync(given.checkpoints, { recursive: true });
  const { status } = spawnSync(process.execPath, [join(here, 'random-checkpoint.mjs'), family, path], {
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`The random checkpoint ${path} could not be written`);
  return path;
}
