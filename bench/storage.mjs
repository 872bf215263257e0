// @ts-check
/**
 * Measures each storage type: size of the converted file; seconds of the conversion, of the second load of the U-Net, and of
 * one evaluation at 256 pixels (fastest of 5, because the first use of memory is slow in a virtual machine); peak private
 * memory of loading and evaluation; relative RMS error of the prediction against f32; and the mean and largest difference of
 * four images of the starter model (of 255) from those with f32. Each row is measured in a separate process. Requires
 * `npm run prepare`.
 *
 *   node bench/random-checkpoint.mjs sd1 /tmp/sd1.safetensors
 *   node bench/storage.mjs /tmp/sd1.safetensors [--json storage.json] [--types f32,q8_0] [--memory lean]
 *
 * `--json` adds the rows to those in the file, so that types can be measured in several calls.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { convertModel, openModel, Pipeline, starterModel, Tensor, UNet } from '../dist/index.js';

const ALL = ['f32', 'bf16', 'f16', 'q8_0', 'q6_K', 'q5_K', 'q5_0', 'q4_K', 'q4_0'];
/** Types that `safelight convert` does not write: the source file is loaded in them instead. */
const LOADED = new Set(['f32', 'bf16']);

const args = process.argv.slice(2);
/** @param {string} name */
const option = (name) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
const path = args[0] ?? '';
if (!path || path.startsWith('--')) {
  console.error(
    'usage: storage.mjs CHECKPOINT [--json FILE] [--types f32,q8_0,...] [--memory balanced|lean]',
  );
  process.exit(2);
}
const memory = /** @type {'balanced' | 'lean'} */ (option('--memory') ?? 'balanced');
const one = option('--one');
if (one) console.log(JSON.stringify(await measure(one)));
else main();

function main() {
  const out = option('--json');
  /** @type {Record<string, Record<string, number>>} */
  const rows = out && existsSync(out) ? JSON.parse(readFileSync(out, 'utf8')).rows : {};
  const script = fileURLToPath(import.meta.url);
  // f32 comes first because the other types are compared with its prediction.
  const types = (option('--types')?.split(',') ?? ALL).sort((a, b) => ALL.indexOf(a) - ALL.indexOf(b));
  for (const type of types) {
    const exact = type === 'f32' ? [] : ['--exact', JSON.stringify(rows.f32?.prediction ?? null)];
    const result = spawnSync(process.execPath, [script, path, '--one', type, '--memory', memory, ...exact], {
      stdio: ['ignore', 'pipe', 'inherit'],
      maxBuffer: 1 << 28,
    });
    if (result.status !== 0) process.exit(1);
    rows[type] = JSON.parse(result.stdout.toString());
    if (out) writeFileSync(out, JSON.stringify({ checkpoint: path, memory, rows }));
  }
  print(rows);
}

/** @param {Record<string, any>} rows */
function print(rows) {
  /** @param {number | undefined} value @param {number} digits */
  const number = (value, digits) => (value === undefined ? '-' : value.toFixed(digits));
  console.log(
    '| type | file, MB | convert, s | load, s | U-Net 256², s | peak memory, MB | U-Net rms | starter, mean | largest |',
  );
  console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- |');
  for (const type of ALL) {
    const row = rows[type];
    if (!row) continue;
    const cells = [
      number(row.bytes && row.bytes / 1e6, 0),
      number(row.convert, 1),
      number(row.load, 2),
      number(row.run, 2),
      number(row.peak / 1e6, 0),
      row.error === undefined ? '-' : `${number(100 * row.error, 2)} %`,
      number(row.mean, 2),
      number(row.largest, 0),
    ];
    console.log(`| ${type} | ${cells.join(' | ')} |`);
  }
}

/** @param {string} type */
async function measure(type) {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-storage-'));
  try {
    const picture = await starter(type, folder);
    let source = path;
    /** @type {{ bytes?: number, convert?: number }} */
    const file = {};
    if (!LOADED.has(type)) {
      source = join(folder, 'model.gguf');
      const start = performance.now();
      await convertModel(path, source, { storage: /** @type {any} */ (type) });
      file.convert = (performance.now() - start) / 1000;
      file.bytes = statSync(source).size;
    }
    return { ...file, ...picture, ...(await unet(source, LOADED.has(type) ? type : undefined)) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string} source @param {any} storage */
async function unet(source, storage) {
  const model = await openModel(source);
  const { cross_attention_dim, in_channels, addition } = model.unet.config;
  const how = { memory, ...(storage ? { storage } : {}) };
  const peak = watchMemory();
  const module = await UNet.load(model.unet, how);
  const inputs = {
    sample: waves([1, in_channels, 32, 32]),
    timestep: Tensor.from(Float32Array.of(500), [1]),
    context: waves([1, 77, cross_attention_dim]),
    ...(addition && {
      textEmbeds: waves([1, addition.input_dim - 6 * addition.time_embed_dim]),
      timeIds: waves([1, 6]),
    }),
  };
  const { sample } = await module.forward(inputs);
  const seconds = [];
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    await module.forward(inputs);
    seconds.push((performance.now() - start) / 1000);
  }
  const bytes = peak();
  module.dispose();
  const start = performance.now();
  (await UNet.load(model.unet, how)).dispose();
  const load = (performance.now() - start) / 1000;
  const prediction = [...sample.data];
  /** @type {number | undefined} */
  let error = storage === 'f32' ? 0 : undefined;
  /** @type {number[] | null} */
  const exact = JSON.parse(option('--exact') ?? 'null');
  if (exact)
    error = Math.hypot(...prediction.map((value, i) => value - (exact[i] ?? 0))) / Math.hypot(...exact);
  return {
    load,
    run: Math.min(...seconds),
    peak: bytes,
    error,
    ...(storage === 'f32' ? { prediction } : {}),
  };
}

/** Compares images of the starter model in this type with those in f32. @param {string} type @param {string} folder */
async function starter(type, folder) {
  const exact = await draw(starterModel, 'f32');
  const file = join(folder, 'starter.gguf');
  if (!LOADED.has(type)) await convertModel(starterModel, file, { storage: /** @type {any} */ (type) });
  const drawn = LOADED.has(type) ? await draw(starterModel, type) : await draw(file, undefined);
  let [sum, largest] = [0, 0];
  exact.forEach((value, i) => {
    const apart = Math.abs(value - (drawn[i] ?? 0));
    sum += apart;
    largest = Math.max(largest, apart);
  });
  return { mean: sum / exact.length, largest };
}

/** Returns the pixel values of all images. @param {string} model @param {any} storage */
async function draw(model, storage) {
  const pipeline = await Pipeline.load(model, storage ? { storage } : {});
  try {
    /** @type {number[]} */
    const numbers = [];
    for (const [seed, prompt] of [
      'a red apple on a table',
      'a cat',
      'a house by the sea',
      'a tree',
    ].entries()) {
      const { images } = await pipeline.generate({ prompt, seed });
      for (const value of images[0]?.data ?? []) numbers.push(value);
    }
    return numbers;
  } finally {
    await pipeline.dispose();
  }
}

/** Samples the growth of private memory every 10 ms. The returned function stops sampling and returns the peak. */
function watchMemory() {
  const now = () => {
    const found = /^RssAnon:\s*(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'));
    return 1024 * Number(found?.[1] ?? 0);
  };
  const before = now();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, now());
  }, 10);
  return () => {
    clearInterval(timer);
    return Math.max(most, now()) - before;
  };
}

/** @param {number[]} shape */
function waves(shape) {
  return Tensor.from(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => 1.5 * Math.sin(12.9898 * i)),
    shape,
  );
}
