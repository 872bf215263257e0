// @ts-check
/**
 * Time from `abort()` to the rejection, in every phase of a call and at moments spread over it. Needs the built package.
 *
 *   node bench/abort.mjs MODEL.safetensors [balanced|lean|fast] [SIDE] [MOMENTS]
 */
import { Pipeline, Tensor } from '../dist/index.js';

const [model = '', memory = 'balanced', side = '512', moments = '6'] = process.argv.slice(2);
if (!model) {
  console.error('usage: abort.mjs MODEL.safetensors [balanced|lean|fast] [SIDE] [MOMENTS]');
  process.exit(2);
}
const pixels = Number(side);
const how = /** @type {import('../dist/index.js').LoadPipelineOptions} */ ({ memory });

/** Milliseconds, at growing moments after the start; the longest moment is `within` ms. @param {string} phase @param {number} within @param {(signal: AbortSignal) => Promise<unknown>} call */
async function measure(phase, within, call) {
  const times = [];
  for (let i = 0; i < Number(moments); i++) {
    const controller = new AbortController();
    const wait = Math.round((within * (i + 0.5)) / Number(moments));
    let at = 0;
    const timer = setTimeout(() => {
      at = performance.now();
      controller.abort();
    }, wait);
    const outcome = await call(controller.signal).then(
      () => 'finished',
      (error) => error.code,
    );
    clearTimeout(timer);
    if (at && outcome === 'ABORTED') times.push({ wait, ms: performance.now() - at });
  }
  const worst = Math.max(...times.map(({ ms }) => ms));
  const list = times.map(({ wait, ms }) => `${ms.toFixed(1)} (at ${wait})`).join(', ');
  console.log(`${phase.padEnd(12)} worst ${worst.toFixed(1).padStart(7)} ms: ${list}`);
}

await measure('load', 800, (signal) => Pipeline.load(model, { ...how, signal }).then((p) => p.dispose()));
const pipeline = await Pipeline.load(model, how);
await pipeline.encodeText('warm');
await measure('encode text', 150, (signal) => pipeline.encodeText('a house', { signal }));
const text = { prompt: 'a house', width: pixels, height: pixels, seed: 1 };
await measure('denoise', 9000, (signal) => pipeline.generate({ ...text, steps: 2, signal }));
const { latentChannels, factor } = pipeline.info;
const latent = Tensor.from(
  Float32Array.from({ length: latentChannels * (pixels / factor) ** 2 }, (_, i) => Math.sin(i)),
  [1, latentChannels, pixels / factor, pixels / factor],
);
await measure('decode', 9000, (signal) => pipeline.decode(latent, { signal }));
const picture = { data: new Uint8Array(3 * pixels * pixels).fill(90), width: pixels, height: pixels };
await measure('encode', 5000, (signal) => pipeline.encode(picture, { signal }));
await pipeline.dispose();
