// @ts-check
/**
 * Compares the precisions f32, bf16 and int8 of a checkpoint: median seconds of the text encoder, of U-Net evaluations and of
 * decoding, in turns after a warm-up run, the speedups, and the relative root mean square differences of the outputs from those of
 * f32. Then compares images of the bundled model: median seconds per image and the mean differences of 18 images, which --sheet
 * FILE draws, in f32 above bf16 above int8.
 * Requires `npm run prepare`.
 *
 *   node bench/random-checkpoint.mjs sd1 /tmp/sd1.safetensors
 *   node bench/precision.mjs /tmp/sd1.safetensors [--runs 5] [--sheet sheet.webp]
 */
import sharp from 'sharp';
import { openModel } from '../.build/lib/families/registry.js';
import { Autoencoder, Pipeline, Tensor, TextEncoder, UNet } from '../.build/lib/index.js';
import { median, relativeError, waves } from './measure.mjs';

const args = process.argv.slice(2);
const path = args[0];
if (!path || path.startsWith('--')) {
  console.error('usage: precision.mjs CHECKPOINT [--runs N] [--sheet FILE]');
  process.exit(2);
}
const runs = args.includes('--runs') ? Number(args[args.indexOf('--runs') + 1]) : 5;
/** @type {readonly ['f32', 'bf16', 'int8']} */
const PRECISIONS = ['f32', 'bf16', 'int8'];

/** @param {string} name @param {readonly (() => Promise<Tensor>)[]} evaluate one function per precision */
async function compare(name, evaluate) {
  /** @type {number[][]} */
  const seconds = evaluate.map(() => []);
  /** @type {Tensor[]} */
  const outputs = [];
  for (let run = 0; run <= runs; run++) {
    for (const [i, one] of evaluate.entries()) {
      const start = performance.now();
      outputs[i] = await one();
      if (run > 0) seconds[i]?.push((performance.now() - start) / 1000);
    }
  }
  const times = seconds.map(median);
  const [exact = Number.NaN] = times;
  const cells = PRECISIONS.slice(1).map((_, i) => {
    const [time = Number.NaN, a, b] = [times[i + 1], outputs[0], outputs[i + 1]];
    const error = a && b ? relativeError(b.data, a.data) : Number.NaN;
    return `${time.toFixed(3)} (${(exact / time).toFixed(2)}×, ${(100 * error).toFixed(2)} %)`;
  });
  console.log(`| ${name} | ${exact.toFixed(3)} | ${cells.join(' | ')} |`);
}

console.log('| | f32 | bf16 | int8 |\n| --- | --- | --- | --- |');
const model = await openModel(path);
const [text] = model.textEncoders;
if (!text || model.autoencoder.kind !== 'autoencoder_kl')
  throw new Error(`Expected a checkpoint with a text encoder and a KL autoencoder, received ${path}`);
const tokens = Tensor.from(
  Int32Array.from({ length: 77 }, (_, i) => (i * 617) % 40_000),
  [1, 77],
);
const encoders = await Promise.all(PRECISIONS.map((precision) => TextEncoder.load(text, { precision })));
await compare(
  'text encoder',
  encoders.map((encoder) => async () => (await encoder.encode({ tokens })).hidden),
);
for (const encoder of encoders) encoder.dispose();

const unets = await Promise.all(PRECISIONS.map((precision) => UNet.load(model.unet, { precision })));
const { cross_attention_dim, in_channels } = model.unet.config;
for (const batch of [1, 2]) {
  for (const side of [32, 64]) {
    const inputs = {
      sample: waves([batch, in_channels, side, side]),
      timestep: Tensor.from(new Float32Array(batch).fill(500), [batch]),
      context: waves([batch, 77, cross_attention_dim]),
    };
    await compare(
      `U-Net ${8 * side}²${batch > 1 ? `, batch ${batch}` : ''}`,
      unets.map((unet) => async () => (await unet.forward(inputs)).sample),
    );
  }
}
for (const unet of unets) unet.dispose();

const { autoencoder } = model;
const codecs = await Promise.all(PRECISIONS.map((precision) => Autoencoder.load(autoencoder, { precision })));
for (const side of [32, 64]) {
  const latent = waves([1, autoencoder.config.latent_channels, side, side]);
  await compare(
    `decode ${8 * side}²`,
    codecs.map((codec) => () => codec.decode(latent)),
  );
}
for (const codec of codecs) codec.dispose();

const PROMPTS = [
  'red apple',
  'pizza',
  'cat face',
  'dog face',
  'rocket',
  'house',
  'sunflower',
  'birthday cake',
  'red heart',
  'frog',
  'automobile',
  'guitar',
  'smiling face with sunglasses',
  'unicorn',
  'strawberry',
  'castle',
  'penguin',
  'fire engine',
];
const COLUMNS = 9;
const SIDE = 128; // pixels of the bundled model's images

/** @param {import('../.build/lib/index.js').GeneratedImage} image @param {number} row @param {number} column */
const placed = ({ data }, row, column) => ({
  input: Buffer.from(data),
  raw: { width: SIDE, height: SIDE, channels: /** @type {const} */ (3) },
  left: column * SIDE,
  top: row * SIDE,
});

const pipelines = await Promise.all(PRECISIONS.map((precision) => Pipeline.load(undefined, { precision })));
/** @type {number[][]} */
const seconds = PRECISIONS.map(() => []);
/** Mean differences from f32 of each other precision. @type {number[][]} */
const differences = PRECISIONS.slice(1).map(() => []);
/** @type {import('sharp').OverlayOptions[]} */
const sheet = [];
for (const [i, prompt] of PROMPTS.entries()) {
  /** @type {import('../.build/lib/index.js').GeneratedImage[]} */
  const images = [];
  for (const [p, pipeline] of pipelines.entries()) {
    const start = performance.now();
    const result = await pipeline.generate({ prompt, seed: 1 });
    if (i > 0) seconds[p]?.push((performance.now() - start) / 1000);
    images.push(...result.images);
  }
  const [exact, ...others] = images;
  if (!exact || others.length !== differences.length)
    throw new Error(`Expected an image of ${prompt} per precision`);
  for (const [p, other] of others.entries()) {
    const sum = exact.data.reduce((all, v, k) => all + Math.abs(v - (other.data[k] ?? 0)), 0);
    differences[p]?.push(sum / exact.data.length);
  }
  const row = PRECISIONS.length * Math.floor(i / COLUMNS);
  sheet.push(...images.map((image, p) => placed(image, row + p, i % COLUMNS)));
}
const times = seconds.map(median);
console.log(`\nBundled model: ${PRECISIONS.map((p, i) => `${p} ${times[i]?.toFixed(3)} s`).join(', ')}`);
for (const [p, all] of differences.entries()) {
  const mean = all.reduce((a, b) => a + b) / all.length;
  console.log(
    `Mean difference of ${all.length} images in ${PRECISIONS[p + 1]}: ${mean.toFixed(2)}, at most ${Math.max(...all).toFixed(2)} of 255`,
  );
}
if (args.includes('--sheet')) {
  await sharp({
    create: { width: COLUMNS * SIDE, height: 2 * PRECISIONS.length * SIDE, channels: 3, background: 'white' },
  })
    .composite(sheet)
    .toFile(args[args.indexOf('--sheet') + 1] ?? 'sheet.webp');
}
for (const pipeline of pipelines) await pipeline.dispose();
