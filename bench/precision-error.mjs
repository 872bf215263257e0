// @ts-check
/**
 * Compares the U-Net outputs of Safelight in f32, bf16 and int8, and of PyTorch in bf16, with PyTorch's in f64: the root mean square
 * difference, relative to that of f64. Requires `npm run prepare`, and a Python with bench/peers/requirements.txt.
 *
 *   node bench/precision-error.mjs models/starter PYTHON
 *   node bench/random-checkpoint.mjs sd1 /tmp/sd1.safetensors
 *   node bench/precision-error.mjs /tmp/sd1.safetensors PYTHON
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openModel } from '../.build/lib/families/registry.js';
import { Tensor, UNet } from '../.build/lib/index.js';
import { waves } from './measure.mjs';

const [path, python] = process.argv.slice(2);
if (!path || !python) {
  console.error('usage: precision-error.mjs CHECKPOINT PYTHON');
  process.exit(2);
}
const SIDE = 32;
const script = fileURLToPath(new URL('peers/precision_error.py', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'precision-error-'));

/** @param {string} name @param {Tensor} tensor */
const write = (name, { data }) =>
  writeFileSync(join(folder, `${name}.bin`), new Uint8Array(data.buffer, data.byteOffset, data.byteLength));

try {
  const model = await openModel(path);
  const { cross_attention_dim, in_channels } = model.unet.config;
  const inputs = {
    sample: waves([1, in_channels, SIDE, SIDE]),
    timestep: Tensor.from(Float32Array.of(500), [1]),
    context: waves([1, 77, cross_attention_dim]),
  };
  write('sample', inputs.sample);
  write('context', inputs.context);
  for (const precision of /** @type {const} */ (['f32', 'bf16', 'int8'])) {
    const unet = await UNet.load(model.unet, { precision });
    write(precision, (await unet.forward(inputs)).sample);
    unet.dispose();
  }
  execFileSync(python, [script, path, folder, String(SIDE)], { stdio: 'inherit' });
} finally {
  rmSync(folder, { recursive: true });
}
