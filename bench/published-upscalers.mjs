// @ts-check
/**
 * Compares published upscalers with spandrel (`bench/peers/ncnn_upscalers.py` writes the folder), and tiles of several overlaps
 * with an image in one piece: the largest and the mean difference of bytes. Requires `npm run prepare`.
 *
 *   node bench/published-upscalers.mjs FOLDER IMAGE [--tile 96]
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Upscaler } from '../dist/index.js';

const [folder = '', image = ''] = process.argv.slice(2);
const tile = process.argv.includes('--tile') ? Number(process.argv[process.argv.indexOf('--tile') + 1]) : 96;

/** @param {Uint8Array} a @param {Uint8Array} b */
function difference(a, b) {
  let [largest, sum] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    const off = Math.abs((a[i] ?? 0) - (b[i] ?? 0));
    largest = Math.max(largest, off);
    sum += off;
  }
  return `largest ${largest}, mean ${(sum / a.length).toFixed(4)}`;
}

/** Reads a NumPy array `[1, 3, H, W]` in f32 as bytes of pixels. @param {string} path */
function pixelsOf(path) {
  const bytes = readFileSync(path);
  const start = 10 + bytes.readUInt16LE(8);
  const values = new Float32Array(
    bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + bytes.length),
  );
  const plane = values.length / 3;
  return new Uint8Array(
    Uint8ClampedArray.from(
      { length: values.length },
      (_, i) => 255 * (values[(i % 3) * plane + Math.floor(i / 3)] ?? 0),
    ),
  );
}

for (const file of readdirSync(folder).filter((name) => name.endsWith('.safetensors'))) {
  const upscaler = await Upscaler.load(join(folder, file), { backend: 'cpu' });
  const whole = await upscaler.upscale(image, { tile: 0 });
  console.log(`${file} (receptive field ${upscaler.info.receptiveField})`);
  console.log(
    `  spandrel: ${difference(whole.data, pixelsOf(join(folder, file.replace('.safetensors', '.npy'))))}`,
  );
  for (const overlap of [0, 8, 16, 24, 32, 48]) {
    const { data } = await upscaler.upscale(image, { tile, overlap });
    console.log(`  tiles of ${tile} that overlap by ${overlap}: ${difference(data, whole.data)}`);
  }
  await upscaler.dispose();
}
