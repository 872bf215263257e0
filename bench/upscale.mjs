// @ts-check
/**
 * Measures ESRGAN x4 (23 blocks of 64 features, random weights) on an image of 256 x 256 pixels in one piece: the seconds of
 * each of several runs after a warm-up run, their median, and the memory. Prints how to measure PyTorch with the same
 * weights. On a noisy machine run both in turns. Requires `npm run prepare`.
 *
 *   node bench/upscale.mjs [--threads 2] [--runs 3] [--side 256] [--storage f32] [--stock]
 */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openUpscaler } from '../.build/lib/checkpoint/open-upscaler.js';
import { Tensor } from '../.build/lib/index.js';
import { UpscalerNetwork } from '../.build/lib/modules/upscaler-network.js';
import { writeRandom } from './random-weights.mjs';

const args = process.argv.slice(2);
/** @param {string} name @param {number} fallback */
const number = (name, fallback) => (args.includes(name) ? Number(args[args.indexOf(name) + 1]) : fallback);
const threads = number('--threads', 2);
const runs = number('--runs', 3);
const side = number('--side', 256);

const path = join(tmpdir(), 'safelight-bench-esrgan.safetensors');
if (!existsSync(path)) writeRandom(shapes(), path);
const network = await UpscalerNetwork.load(await openUpscaler(path), {
  ...{ backend: 'cpu', threads, stockOps: args.includes('--stock') },
  storage: args.includes('--storage')
    ? /** @type {'f32'} */ (args[args.indexOf('--storage') + 1])
    : undefined,
});
const image = Tensor.from(
  Float32Array.from({ length: 3 * side * side }, (_, i) => 0.5 + 0.5 * Math.sin(12.9898 * i)),
  [1, 3, side, side],
);
const seconds = [];
for (let i = 0; i <= runs; i++) {
  const start = performance.now();
  await network.upscale(image);
  if (i > 0) seconds.push((performance.now() - start) / 1000);
}
const sorted = seconds.toSorted((a, b) => a - b);
const { weights, compute } = network.memory();
console.log(`runs ${seconds.map((s) => s.toFixed(2)).join(' ')}`);
console.log(`median ${sorted[Math.floor(runs / 2)]?.toFixed(2)} s, ${threads} threads`);
console.log(`memory ${Math.round((weights + compute) / 1e6)} MB`);
network.dispose();
const peer = fileURLToPath(new URL('peers/torch_upscale.py', import.meta.url));
console.log(`\nPyTorch: python ${peer} ${path} --threads ${threads} --runs ${runs} --side ${side}`);

function shapes() {
  /** @type {Map<string, readonly number[]>} */
  const result = new Map();
  /** @param {string} name @param {number} out @param {number} from */
  const add = (name, out, from) => {
    result.set(`${name}.weight`, [out, from, 3, 3]);
    result.set(`${name}.bias`, [out]);
  };
  add('conv_first', 64, 3);
  for (let block = 0; block < 23; block++) {
    for (let dense = 1; dense <= 3; dense++) {
      for (let conv = 1; conv <= 5; conv++)
        add(`body.${block}.rdb${dense}.conv${conv}`, conv === 5 ? 64 : 32, 64 + 32 * (conv - 1));
    }
  }
  for (const name of ['conv_body', 'conv_up1', 'conv_up2', 'conv_hr']) add(name, 64, 64);
  add('conv_last', 3, 64);
  return result;
}
