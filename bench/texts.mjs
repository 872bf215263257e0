// @ts-check
/**
 * Measures what caching the cross-attention keys and values of a prompt saves: median seconds of one U-Net evaluation with the
 * prompt's hidden states and of one with the cache, in turns; seconds to fill the cache, its bytes, and the largest difference
 * of the two predictions, relative to the largest value. Requires `npm run prepare`.
 *
 *   node bench/random-checkpoint.mjs sd1 /tmp/sd1.safetensors
 *   node bench/texts.mjs /tmp/sd1.safetensors [--side 32] [--batch 1] [--runs 5] [--memory balanced|lean]
 */
import { openModel, Tensor, UNet } from '../dist/index.js';
import { median, waves } from './measure.mjs';

const args = process.argv.slice(2);
const path = args[0] ?? '';
if (!path || path.startsWith('--')) {
  console.error('usage: texts.mjs CHECKPOINT [--side N] [--batch N] [--runs N] [--memory MODE]');
  process.exit(2);
}
/** @param {string} name @param {number} fallback */
const number = (name, fallback) => (args.includes(name) ? Number(args[args.indexOf(name) + 1]) : fallback);
const side = number('--side', 32);
const batch = number('--batch', 1);
const runs = number('--runs', 5);
const memory = /** @type {'balanced' | 'lean'} */ (
  args.includes('--memory') ? args[args.indexOf('--memory') + 1] : 'balanced'
);

/** @param {() => Promise<unknown>} run @returns {Promise<number>} seconds */
async function timed(run) {
  const start = performance.now();
  await run();
  return (performance.now() - start) / 1000;
}

const { unet: source } = await openModel(path);
const { cross_attention_dim, in_channels, addition } = source.config;
const unet = await UNet.load(source, { memory });
const context = waves([batch, 77, cross_attention_dim]);
const others = {
  sample: waves([batch, in_channels, side, side]),
  timestep: Tensor.from(new Float32Array(batch).fill(500), [batch]),
  ...(addition && {
    textEmbeds: waves([batch, addition.input_dim - 6 * addition.time_embed_dim]),
    timeIds: waves([batch, 6]),
  }),
};
await (await unet.cacheCrossAttention(context))[Symbol.dispose]();
/** @type {import('../dist/index.js').CrossAttentionState | undefined} */
let kept;
const keeping = await timed(async () => {
  kept = await unet.cacheCrossAttention(context);
});
if (!kept) throw new Error('Expected a cross-attention cache, received none');
const text = { of: kept, rows: Array.from({ length: batch }, (_, i) => i) };
const ways = [() => unet.forward({ ...others, context }), () => unet.forward({ ...others, text })];
/** @type {number[][]} */
const seconds = [[], []];
let difference = 0;
for (let run = 0; run <= runs; run++) {
  // The second of two evaluations counts: the first builds the graph, as only the first step of a sampler does.
  const samples = [];
  for (const [i, way] of ways.entries()) {
    samples.push((await way()).sample.data);
    const took = await timed(way);
    if (run > 0) seconds[i]?.push(took);
  }
  const [given, own] = /** @type {[Float32Array, Float32Array]} */ (samples);
  const largest = given.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  difference = given.reduce((most, x, i) => Math.max(most, Math.abs(x - (own[i] ?? 0)) / largest), 0);
}
const [given = 0, own = 0] = seconds.map(median);
console.log(
  `${side * 8}² batch ${batch}: given ${given.toFixed(3)} s, kept ${own.toFixed(3)} s (${(100 * (1 - own / given)).toFixed(1)} % less); ` +
    `keeping ${keeping.toFixed(3)} s, ${(unet.memory().sessions / 1e6).toFixed(1)} MB; difference ${difference.toExponential(1)}`,
);
kept[Symbol.dispose]();
unet.dispose();
