// @ts-check
/**
 * Measures one U-Net evaluation and one decode of a checkpoint at 256 and 512 pixels, batch 1: median seconds of several runs
 * after a warm-up run, and the memory of the module. Requires `npm run prepare`.
 *
 *   node bench/random-checkpoint.mjs sd1 /tmp/sd1.safetensors
 *   node bench/modules.mjs /tmp/sd1.safetensors [--stock] [--runs 3]
 */

import { openModel } from '../.build/lib/families/registry.js';
import { Autoencoder, Tensor, UNet } from '../.build/lib/index.js';
import { waves } from './measure.mjs';

const args = process.argv.slice(2);
const path = args.find((arg) => !arg.startsWith('--'));
if (!path) {
  console.error('usage: modules.mjs CHECKPOINT [--stock] [--runs N]');
  process.exit(2);
}
const stockOps = args.includes('--stock');
const runs = args.includes('--runs') ? Number(args[args.indexOf('--runs') + 1]) : 3;

/** @param {() => Promise<unknown>} run */
async function median(run) {
  await run();
  const seconds = [];
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    await run();
    seconds.push((performance.now() - start) / 1000);
  }
  return seconds.sort((a, b) => a - b)[Math.floor(runs / 2)] ?? Number.NaN;
}

const model = await openModel(path);
const { cross_attention_dim, in_channels, addition } = model.unet.config;
const unet = await UNet.load(model.unet, { stockOps });
for (const side of [32, 64]) {
  const inputs = {
    sample: waves([1, in_channels, side, side]),
    timestep: Tensor.from(Float32Array.of(500), [1]),
    context: waves([1, 77, cross_attention_dim]),
    ...(addition && {
      textEmbeds: waves([1, addition.input_dim - 6 * addition.time_embed_dim]),
      timeIds: waves([1, 6]),
    }),
  };
  report('U-Net', side, await median(() => unet.forward(inputs)), unet.memory().compute);
}
unet.dispose();
if (model.autoencoder.kind !== 'autoencoder_kl')
  throw new Error(`Expected a checkpoint with a KL autoencoder, received ${path}`);
const { latent_channels } = model.autoencoder.config;
const autoencoder = await Autoencoder.load(model.autoencoder, { stockOps });
for (const side of [32, 64]) {
  const latent = waves([1, latent_channels, side, side]);
  report('decode', side, await median(() => autoencoder.decode(latent)), autoencoder.memory().compute);
}
autoencoder.dispose();

/** @param {string} what @param {number} side @param {number} seconds @param {number} bytes */
function report(what, side, seconds, bytes) {
  console.log(`${what.padEnd(7)} ${side * 8}²  ${seconds.toFixed(2)} s  ${Math.round(bytes / 1e6)} MB`);
}
