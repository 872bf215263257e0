// @ts-check
/**
 * Compares the memory modes `fast` and `balanced` in the decoding of a large image: as a whole (`fast`) and in tiles
 * (`balanced`), in turns. Prints median wall-clock and CPU seconds, the size of the buffers, and the mean difference of the
 * images (of 255). CPU seconds are comparable even if the machine runs other work. Requires `npm run prepare`.
 *
 *   node bench/random-checkpoint.mjs sd1 /tmp/sd1.safetensors
 *   node bench/decode-tiles.mjs /tmp/sd1.safetensors [--side 1280] [--runs 3]
 */
import { Autoencoder, openModel, Tensor } from '../dist/index.js';
import { median } from './measure.mjs';

const args = process.argv.slice(2);
/** @param {string} name @param {number} fallback */
const option = (name, fallback) => (args.includes(name) ? Number(args[args.indexOf(name) + 1]) : fallback);
const [path] = args;
const [side, runs] = [option('--side', 1280), option('--runs', 3)];
if (!path || path.startsWith('--') || !(side >= 64) || !(runs >= 1)) {
  console.error('usage: decode-tiles.mjs CHECKPOINT [--side PIXELS] [--runs N]');
  process.exit(2);
}

const { autoencoder: source } = await openModel(path);
if (source.kind !== 'autoencoder_kl')
  throw new Error(`Expected a checkpoint with a KL autoencoder, received ${path}`);
const modes = /** @type {const} */ (['fast', 'balanced']);
const rows = await Promise.all(
  modes.map(async (memory) => ({
    memory,
    autoencoder: await Autoencoder.load(source, { memory, backend: 'cpu' }),
    wall: /** @type {number[]} */ ([]),
    cpu: /** @type {number[]} */ ([]),
    image: Tensor.zeros([0]),
  })),
);
const latentSide = Math.floor(side / (rows[0]?.autoencoder.factor ?? 8));
const shape = [1, source.config.latent_channels, latentSide, latentSide];
const size = shape.reduce((a, b) => a * b, 1);
const latent = Tensor.from(
  Float32Array.from({ length: size }, (_, i) => 1.5 * Math.sin(12.9898 * i)),
  shape,
);
for (let run = 0; run < runs; run++) {
  for (const row of rows) {
    const [start, used] = [performance.now(), process.cpuUsage()];
    row.image = await row.autoencoder.decode(latent);
    const { user, system } = process.cpuUsage(used);
    row.wall.push((performance.now() - start) / 1000);
    row.cpu.push((user + system) / 1e6);
    console.error(`${row.memory}, run ${run + 1}: ${row.wall.at(-1)?.toFixed(2)} s`);
  }
}
for (const { memory, wall, cpu, autoencoder } of rows) {
  const gigabytes = (autoencoder.memory().compute / 1e9).toFixed(2);
  console.log(
    `${memory.padEnd(9)} ${side} x ${side}: ${median(wall).toFixed(2)} s, ${median(cpu).toFixed(2)} s of CPU, buffers of ${gigabytes} GB`,
  );
  autoencoder.dispose();
}
const [a, b] = rows.map(({ image }) => image.data);
if (a && b) {
  const difference = a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? 0)), 0) / a.length;
  console.log(`mean difference of the images ${(difference * 127.5).toFixed(3)} of 255`);
}
