// @ts-check
/**
 * Measures how long the event loop is blocked while images are generated: the delays of a 1 ms timer, and the longest delay per
 * phase. Uses the starter model with latents as large as SDXL's.
 *
 *   node bench/event-loop.mjs [SAMPLER] [LATENT_SIDE] [COUNT]
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Pipeline } from '../dist/index.js';

const [sampler = 'dpmpp_sde', side = '128', count = '1'] = process.argv.slice(2);
const pipeline = await Pipeline.load(undefined);
const size = Number(side) * pipeline.info.factor;
const options = {
  prompt: 'a red apple',
  width: size,
  height: size,
  steps: 5,
  seed: 1,
  sampler,
  count: Number(count),
};

const histogram = monitorEventLoopDelay({ resolution: 1 });
/** @type {Map<string, number>} */
const longest = new Map();
let phase = 'start';
let last = performance.now();
const timer = setInterval(() => {
  const now = performance.now();
  longest.set(phase, Math.max(longest.get(phase) ?? 0, now - last - 1));
  last = now;
}, 1);
histogram.enable();
const result = await pipeline.generate({
  ...options,
  onProgress: (report) => {
    phase = report.phase;
  },
});
const [image] = result.images;
if (!image) throw new Error('Expected one image, received none');
phase = 'png';
await image.png();
await new Promise((resolve) => setTimeout(resolve, 5));
phase = 'image to image';
await pipeline.generate({ ...options, init: image, steps: 2 });
histogram.disable();
clearInterval(timer);
await pipeline.dispose();
/** @param {number} ns */
const ms = (ns) => (ns / 1e6).toFixed(1);
console.log(
  `${size} x ${size}, ${sampler}: mean ${ms(histogram.mean)} ms, p99 ${ms(histogram.percentile(99))} ms, longest ${ms(histogram.max)} ms`,
);
for (const [name, delay] of longest) console.log(`  ${name.padEnd(16)} ${delay.toFixed(1)} ms`);
