// @ts-check
/**
 * Measures the time to load a checkpoint with and without packed weights (`safelight pack`), and the first and third U-Net
 * evaluation at 256 pixels after it, which show work that loading defers. Each row is the fastest of `--runs` processes, after
 * one that warms the system's file cache. Packed weights are written to a temporary cache folder. Requires `npm run prepare`.
 *
 *   node bench/load.mjs sd1.safetensors [--storage f16,q8_0] [--memory balanced,lean,fast] [--runs 3]
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openModel, Pipeline, packModel, Tensor, UNet } from '../dist/index.js';

const args = process.argv.slice(2);
/** @param {string} name */
const option = (name) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
const path = args[0] ?? '';
if (!path || path.startsWith('--')) {
  console.error('usage: load.mjs CHECKPOINT [--storage f16,q8_0] [--memory balanced,lean,fast] [--runs 3]');
  process.exit(2);
}
const one = option('--one');
if (one !== undefined) console.log(JSON.stringify(await measure(JSON.parse(one))));
else main();

/** @typedef {{ memory: 'balanced' | 'lean' | 'fast', storage?: any, pack?: boolean }} Case */

function main() {
  const storages = option('--storage')?.split(',') ?? [undefined];
  const modes = /** @type {Case['memory'][]} */ (option('--memory')?.split(',') ?? ['balanced']);
  const cache = mkdtempSync(join(option('--cache') ?? tmpdir(), 'safelight-load-'));
  try {
    console.log('| storage | memory | packed | load, s | 1st run, s | 3rd run, s | RssAnon after load, MB |');
    console.log('| --- | --- | --- | --- | --- | --- | --- |');
    for (const storage of storages) {
      for (const packed of [false, true]) {
        if (packed) child(cache, { memory: 'balanced', storage, pack: true });
        for (const memory of modes) {
          const runs = Array.from({ length: 1 + Number(option('--runs') ?? 3) }, () =>
            child(cache, { memory, storage }),
          ).slice(1);
          /** @param {string} key @param {number} digits */
          const least = (key, digits) => Math.min(...runs.map((run) => run[key])).toFixed(digits);
          const seconds = ['load', 'first', 'third'].map((key) => least(key, 2));
          const cells = [storage ?? 'own', memory, packed ? 'yes' : 'no', ...seconds, least('anon', 0)];
          console.log(`| ${cells.join(' | ')} |`);
        }
      }
    }
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

/** @param {string} cache @param {Case} work */
function child(cache, work) {
  const script = fileURLToPath(import.meta.url);
  const result = spawnSync(process.execPath, [script, path, '--one', JSON.stringify(work)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, SAFELIGHT_CACHE: cache },
  });
  if (result.status !== 0) process.exit(1);
  return JSON.parse(result.stdout.toString());
}

/** @param {Case} work */
async function measure({ memory, storage, pack }) {
  const how = storage ? { storage } : {};
  if (pack) {
    await packModel(path, how);
    return {};
  }
  const start = performance.now();
  const pipeline = await Pipeline.load(path, { memory, ...how });
  const load = (performance.now() - start) / 1000;
  const anon = privateMegabytes();
  await pipeline.dispose();
  const { unet: source } = await openModel(path);
  const unet = await UNet.load(source, { memory, ...how });
  const { cross_attention_dim, in_channels, addition } = source.config;
  const seconds = [];
  for (let i = 0; i < 3; i++) {
    const begin = performance.now();
    await unet.forward({
      sample: waves([1, in_channels, 32, 32]),
      timestep: Tensor.from(Float32Array.of(500), [1]),
      context: waves([1, 77, cross_attention_dim]),
      ...(addition && {
        textEmbeds: waves([1, addition.input_dim - 6 * addition.time_embed_dim]),
        timeIds: waves([1, 6]),
      }),
    });
    seconds.push((performance.now() - begin) / 1000);
  }
  unet.dispose();
  return { load, anon, first: seconds[0], third: seconds[2] };
}

function privateMegabytes() {
  const found = /^RssAnon:\s*(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return (1024 * Number(found?.[1] ?? 0)) / 1e6;
}

/** @param {number[]} shape */
function waves(shape) {
  const count = shape.reduce((product, side) => product * side, 1);
  return Tensor.from(
    Float32Array.from({ length: count }, (_, i) => Math.sin(i)),
    shape,
  );
}
