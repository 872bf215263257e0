// @ts-check
/**
 * Measures whether rotating inputs and weights by Hadamard matrices (QuaRot, arXiv:2404.00456) makes int8 products more exact:
 * relative root mean square errors of linear layers of a U-Net's transformers in int8, with rotations of runs of columns and
 * without. Products are computed here in f64 from rounded numbers: rows of inputs have one scale, weights one per block of 32,
 * as in the CPU's kernels. Inputs come from a run on noise. Reads safetensors only.
 *
 *   node bench/int8-rotation.mjs [MODEL] [--run 64]
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { requirements } from '../.build/lib/binding/module.js';
import { openModel, starterModel, Tensor, UNet } from '../.build/lib/index.js';
import { relativeError } from './measure.mjs';

const args = process.argv.slice(2);
const model = await openModel(args[0] && !args[0].startsWith('--') ? args[0] : starterModel);
const run = args.includes('--run') ? Number(args[args.indexOf('--run') + 1]) : 64;
const { unet } = model;
const plan = unet.weights.plan(requirements('unet', { ...unet.config }), 'f32');

/** @param {number} half bits of an f16 */
function fromHalf(half) {
  const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
  const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return half & 0x8000 ? -size : size;
}

/** @param {string} name @returns {{ values: Float64Array, columns: number }} */
function parameter(name) {
  const entry = plan.entries.find((one) => one.name === name);
  if (!entry) throw new Error(`Expected a parameter ${name}`);
  const { file, offset, length, type } = entry.source;
  const bytes = Buffer.alloc(length);
  const handle = openSync(plan.files[file] ?? '', 'r');
  readSync(handle, bytes, 0, length, offset);
  closeSync(handle);
  const count = entry.shape.reduce((a, b) => a * b, 1);
  const read = type === 'F16' ? (/** @type {number} */ i) => fromHalf(bytes.readUInt16LE(2 * i)) : undefined;
  if (!read && type !== 'F32') throw new Error(`Expected weights in f16 or f32, received ${type}`);
  const values = Float64Array.from({ length: count }, (_, i) => (read ? read(i) : bytes.readFloatLE(4 * i)));
  return { values, columns: count / (entry.shape[0] ?? 1) };
}

/** Rounds runs of numbers to 127 steps of their largest magnitude. @param {Float64Array} x @param {number} length */
function rounded(x, length) {
  const y = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += length) {
    const part = x.subarray(at, at + length);
    const scale = part.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127 || 1;
    part.forEach((value, i) => {
      y[at + i] = Math.round(value / scale) * scale;
    });
  }
  return y;
}

/** Multiplies runs of numbers by an orthogonal Hadamard matrix. @param {Float64Array} x */
function rotated(x) {
  const y = Float64Array.from(x);
  for (let step = 1; step < run; step *= 2) {
    for (let i = 0; i < y.length; i++) {
      if (i & step) continue;
      const [a, b] = [y[i] ?? 0, y[i + step] ?? 0];
      y[i] = (a + b) * Math.SQRT1_2;
      y[i + step] = (a - b) * Math.SQRT1_2;
    }
  }
  return y;
}

/** @param {Float64Array} x rows @param {Float64Array} w rows @param {number} depth */
function product(x, w, depth) {
  const [rows, columns] = [x.length / depth, w.length / depth];
  const y = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    for (let n = 0; n < columns; n++) {
      let sum = 0;
      for (let k = 0; k < depth; k++) sum += (x[r * depth + k] ?? 0) * (w[n * depth + k] ?? 0);
      y[r * columns + n] = sum;
    }
  }
  return y;
}

/** @type {Map<string, { plain: number[], turned: number[] }>} */
const errors = new Map();
/** @param {string} kind @param {Float64Array} x @param {string} name @returns {Float64Array} x W^T + bias */
function layer(kind, x, name) {
  const { values: w, columns: depth } = parameter(`${name}.weight`);
  const exact = product(x, w, depth);
  const int8 = (/** @type {Float64Array} */ a, /** @type {Float64Array} */ b) =>
    relativeError(product(rounded(a, depth), rounded(b, 32), depth), exact);
  const found = errors.get(kind) ?? { plain: [], turned: [] };
  errors.set(kind, found);
  found.plain.push(int8(x, w));
  found.turned.push(int8(rotated(x), rotated(w)));
  const { values: bias } = parameter(`${name}.bias`);
  return exact.map((value, i) => value + (bias[i % bias.length] ?? 0));
}

/** @param {Float64Array} x @param {string} name */
function normalized(x, name) {
  const [{ values: gamma }, { values: beta }] = [parameter(`${name}.weight`), parameter(`${name}.bias`)];
  const width = gamma.length;
  const y = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += width) {
    const row = x.subarray(at, at + width);
    const mean = row.reduce((a, b) => a + b, 0) / width;
    const spread = Math.sqrt(row.reduce((a, b) => a + (b - mean) ** 2, 0) / width + 1e-5);
    row.forEach((value, i) => {
      y[at + i] = ((value - mean) / spread) * (gamma[i] ?? 0) + (beta[i] ?? 0);
    });
  }
  return y;
}

/** The error function by its power series. @param {number} x */
function erf(x) {
  if (Math.abs(x) > 4) return Math.sign(x);
  let [term, sum] = [x, x];
  for (let n = 1; n < 80; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const side = 16;
const length = 32;
const { cross_attention_dim: width, in_channels: channels } = unet.config;
const module = await UNet.load(unet);
const blocks = module
  .nodes({ height: side, width: side, length })
  .map(({ name }) => name)
  .filter((name) => /transformer_blocks\.\d+$/.test(name));
const noise = (/** @type {readonly number[]} */ shape) => {
  const count = shape.reduce((a, b) => a * b, 1);
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return Tensor.from(Float32Array.from({ length: count }, normal), [...shape]);
};
const { taps } = await module.forward(
  {
    sample: noise([1, channels, side, side]),
    timestep: Tensor.from(Float32Array.of(500), [1]),
    context: noise([1, length, width]),
  },
  { taps: blocks.flatMap((block) => [block, `${block}.ff`]) },
);
for (const block of blocks) {
  const out = Float64Array.from(taps[block]?.data ?? []);
  const ff = taps[`${block}.ff`]?.data ?? [];
  const before = out.map((value, i) => value - (ff[i] ?? 0));
  const both = layer('ff.net.0 (GEGLU)', normalized(before, `${block}.norm3`), `${block}.ff.net.0.proj`);
  const inner = parameter(`${block}.ff.net.2.weight`).columns;
  const gated = new Float64Array(both.length / 2);
  for (let i = 0; i < gated.length; i++) {
    const at = Math.floor(i / inner) * 2 * inner + (i % inner);
    const gate = both[at + inner] ?? 0;
    gated[i] = ((both[at] ?? 0) * gate * (1 + erf(gate / Math.SQRT2))) / 2;
  }
  layer('ff.net.2', gated, `${block}.ff.net.2`);
  layer('proj_out', out, `${block.replace(/\.transformer_blocks.*/, '')}.proj_out`);
}
module.dispose();
console.log(`| | layers | int8 | rotated in runs of ${run} |\n| --- | --- | --- | --- |`);
for (const [kind, { plain, turned }] of errors) {
  const mean = (/** @type {readonly number[]} */ all) =>
    `${((100 * all.reduce((a, b) => a + b, 0)) / all.length).toFixed(2)} %`;
  console.log(`| ${kind} | ${plain.length} | ${mean(plain)} | ${mean(turned)} |`);
}
