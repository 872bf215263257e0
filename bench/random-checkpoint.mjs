// @ts-check
/**
 * Writes a single-file checkpoint of a real model's size with random f16 weights: to measure time and memory where no trained
 * weights are to be had. Names and shapes are those of test/fixtures/weights/names.json.gz; of the published autoencoders
 * (test/fixtures/vq/shapes.json, such as vqgan-f16-16384, vq-f4, kl-f32) those that their config asks for, which is written beside them.
 *
 *   node bench/random-checkpoint.mjs sd1|sd2|sdxl|AUTOENCODER OUT.safetensors
 */
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const [family = '', out = ''] = process.argv.slice(2);
const known = JSON.parse(
  gunzipSync(readFileSync(new URL('../test/fixtures/weights/names.json.gz', import.meta.url))).toString(),
);
const autoencoders = JSON.parse(
  readFileSync(new URL('../test/fixtures/vq/shapes.json', import.meta.url), 'utf8'),
);
if (!(family in known || family in autoencoders) || !out) {
  const families = [...Object.keys(known), ...Object.keys(autoencoders)];
  console.error(`usage: random-checkpoint.mjs ${families.join('|')} OUT.safetensors`);
  process.exit(2);
}

/** @type {Map<string, number[]>} */
const shapes = family in known ? modelShapes(known[family]) : await autoencoderShapes(autoencoders[family]);

/** @param {number[]} shape */
const count = (shape) => shape.reduce((a, b) => a * b, 1);
/** @type {Record<string, unknown>} */
const header = {};
let end = 0;
for (const [name, shape] of shapes) {
  const begin = end;
  end += 2 * count(shape);
  header[name] = { dtype: 'F16', shape, data_offsets: [begin, end] };
}
// Padded, so that the data begins at a multiple of 8 as in other writers' files.
const json = JSON.stringify(header);
const text = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
const length = Buffer.alloc(8);
length.writeBigUInt64LE(BigInt(text.length));

// f16 numbers of one random table, written again and again from changing places: 2^20 + 7 values near a normal distribution.
const table = new Float32Array((1 << 20) + 7);
let state = 12345;
const uniform = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};
for (let i = 0; i < table.length; i++)
  table[i] = (uniform() + uniform() + uniform() + uniform() - 2) * Math.sqrt(3);

const view = new DataView(new ArrayBuffer(4));
const file = openSync(out, 'w');
writeSync(file, length);
writeSync(file, text);
let place = 0;
for (const [name, shape] of shapes) {
  const n = count(shape);
  const fanIn = n / (shape[0] ?? 1);
  const bias = name.endsWith('bias');
  const offset = shape.length === 1 && !bias ? 1 : 0;
  const scale = shape.length === 1 ? 0.02 : name.includes('embedding') ? 0.02 : 1 / Math.sqrt(fanIn);
  const chunk = new Uint16Array(Math.min(n, 1 << 20));
  for (let i = 0; i < chunk.length; i++)
    chunk[i] = half((table[(place + i) % table.length] ?? 0) * scale + offset);
  place += 7919;
  for (let done = 0; done < n; done += chunk.length)
    writeSync(file, chunk, 0, 2 * Math.min(chunk.length, n - done));
}
closeSync(file);

/** Nearest f16 of a number of ordinary size; smaller ones become 0. @param {number} value */
function half(value) {
  view.setFloat32(0, value);
  const bits = view.getUint32(0);
  const exponent = ((bits >>> 23) & 255) - 112;
  if (exponent <= 0) return 0;
  return ((bits >>> 16) & 0x8000) | ((exponent << 10) + (((bits & 0x7fffff) + 0x1000) >>> 13));
}

/** @param {{ text_encoders: any[], unet: any, vae: any }} model */
function modelShapes({ text_encoders, unet, vae }) {
  const found = new Map();
  for (const { rows } of [...text_encoders, unet, vae])
    for (const [, , source, shape] of rows) found.set(source, shape);
  return found;
}

/** What C++ asks for, under taming's names. @param {{ target: string, params: any }} model */
async function autoencoderShapes({ target, params }) {
  const { readFirstStageConfig } = await import('../dist/models/config-first-stage.js');
  const { ModelConfig } = await import('../dist/models/model-config.js');
  const { requirements } = await import('../dist/native/module.js');
  const { autoencoderTable } = await import('../dist/weights/naming/ldm-autoencoder.js');
  const unscaled = { scaling_factor: 1, shift_factor: 0 };
  const { kind, config } = readFirstStageConfig(new ModelConfig(out, { target, params }), unscaled);
  const { layers_per_block: blocks, block_out_channels: levels } = config;
  const table = autoencoderTable(levels.length, blocks, blocks + 1);
  const yaml = { model: { target, params: { ...params, lossconfig: { target: 'torch.nn.Identity' } } } };
  writeFileSync(out.replace(/\.safetensors$/, '.yaml'), JSON.stringify(yaml));
  return new Map(
    requirements(kind, { ...config }).map(({ name, shape }) => [table.source(name) ?? name, [...shape]]),
  );
}
