// @ts-check
/**
 * Compares the decoders of a tiny autoencoder of TAESD's size (random weights) and of a checkpoint's KL autoencoder, in turns.
 * Prints median wall-clock and CPU seconds and the size of the buffers and weights. Requires `npm run prepare`.
 *
 *   node bench/random-checkpoint.mjs sd1 /tmp/sd1.safetensors
 *   node bench/decode-tiny.mjs /tmp/sd1.safetensors [--side 512] [--runs 3]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Autoencoder, openModel, Tensor, TinyAutoencoder } from '../dist/index.js';
import { median } from './measure.mjs';
import { writeRandom } from './random-weights.mjs';

const args = process.argv.slice(2);
/** @param {string} name @param {number} fallback */
const option = (name, fallback) => (args.includes(name) ? Number(args[args.indexOf(name) + 1]) : fallback);
const [path] = args;
const [side, runs] = [option('--side', 512), option('--runs', 3)];
if (!path || path.startsWith('--') || !(side >= 64) || !(runs >= 1)) {
  console.error('usage: decode-tiny.mjs CHECKPOINT [--side PIXELS] [--runs N]');
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'safelight-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const vae = join(folder, 'taesd_decoder.safetensors');
writeRandom(decoderShapes(), vae);

const load = /** @type {const} */ ({ backend: 'cpu' });
const { autoencoder: kl } = await openModel(path);
if (kl.kind !== 'autoencoder_kl')
  throw new Error(`Expected a checkpoint with a KL autoencoder, received ${path}`);
const { autoencoder: tiny } = await openModel(path, { vae });
if (tiny.kind !== 'tiny_autoencoder') throw new Error('Expected a tiny autoencoder');
const rows = [
  { name: 'KL', model: await Autoencoder.load(kl, load), wall: [0], cpu: [0] },
  { name: 'TAESD', model: await TinyAutoencoder.load(tiny, load), wall: [0], cpu: [0] },
];
for (const row of rows) row.wall.length = row.cpu.length = 0;
const shape = [1, 4, side / 8, side / 8];
const latent = Tensor.from(
  Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => 1.5 * Math.sin(12.9898 * i)),
  shape,
);
for (let run = 0; run < runs; run++) {
  for (const { name, model, wall, cpu } of rows) {
    const [start, used] = [performance.now(), process.cpuUsage()];
    await model.decode(latent);
    const { user, system } = process.cpuUsage(used);
    wall.push((performance.now() - start) / 1000);
    cpu.push((user + system) / 1e6);
    console.error(`${name}, run ${run + 1}: ${wall.at(-1)?.toFixed(2)} s`);
  }
}
for (const { name, model, wall, cpu } of rows) {
  const { compute, weights } = model.memory();
  const megabytes = [compute, weights].map((bytes) => (bytes / 1e6).toFixed(0));
  console.log(
    `${name.padEnd(6)} ${side} x ${side}: ${median(wall).toFixed(2)} s, ${median(cpu).toFixed(2)} s of CPU, buffers of ${megabytes[0]} MB, weights of ${megabytes[1]} MB`,
  );
  model.dispose();
}

/** Shapes of TAESD's decoder by its original names. */
function decoderShapes() {
  /** @type {Map<string, readonly number[]>} */
  const shapes = new Map();
  const width = 64;
  /** @param {string} name @param {number} inputs @param {number} out @param {boolean} bias */
  const conv = (name, inputs, out, bias = true) => {
    shapes.set(`${name}.weight`, [out, inputs, 3, 3]);
    if (bias) shapes.set(`${name}.bias`, [out]);
  };
  conv('1', 4, width);
  for (const block of [3, 4, 5, 8, 9, 10, 13, 14, 15, 18])
    for (const part of [0, 2, 4]) conv(`${block}.conv.${part}`, width, width);
  for (const index of [7, 12, 17]) conv(`${index}`, width, width, false);
  conv('19', width, 3);
  return shapes;
}
