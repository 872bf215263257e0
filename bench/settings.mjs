// @ts-check
/**
 * Measures options that trade time for quality: `caching` (step caching and guidance intervals) or `changes` (of guidance and of
 * the U-Net). Prints the median seconds of denoising (all settings in turns), the speedup, and the mean and largest difference of
 * the images (of 255) from those without. Without CHECKPOINT, the starter model generates four prompts. `--speed` omits the
 * differences, for a checkpoint with random weights. Requires `npm run prepare`.
 *
 *   node bench/settings.mjs caching|changes [CHECKPOINT] [--size 256] [--steps 20] [--runs 3] [--speed]
 */
import { Pipeline } from '../dist/index.js';
import { median } from './measure.mjs';

const [what, ...args] = process.argv.slice(2);
const path = args[0]?.startsWith('--') ? undefined : args[0];
/** @param {string} name @param {number} fallback */
const number = (name, fallback) => (args.includes(name) ? Number(args[args.indexOf(name) + 1]) : fallback);
const speed = args.includes('--speed');
const size = args.includes('--size') ? { width: number('--size', 256), height: number('--size', 256) } : {};
const steps = number('--steps', 20);
const runs = number('--runs', 3);

/** @typedef {Partial<import('../dist/index.js').GenerateOptions>} Setting */
/** @type {Record<string, Setting>} */
const CACHING = {
  none: {},
  'deepcache 0.25 (interval 2)': { stepCache: 'deepcache', stepCacheStrength: 0.25 },
  'deepcache 0.5 (interval 3)': { stepCache: 'deepcache' },
  'deepcache 1 (interval 5)': { stepCache: 'deepcache', stepCacheStrength: 1 },
  'tgate 0.25': { stepCache: 'tgate', stepCacheStrength: 0.25 },
  'tgate 0.5': { stepCache: 'tgate' },
  'tgate 0.75': { stepCache: 'tgate', stepCacheStrength: 0.75 },
  'spectrum 0.25': { stepCache: 'spectrum', stepCacheStrength: 0.25 },
  'spectrum 0.5': { stepCache: 'spectrum' },
  'spectrum 1': { stepCache: 'spectrum', stepCacheStrength: 1 },
  'first-block 0.25': { stepCache: 'first-block', stepCacheStrength: 0.25 },
  'first-block 0.5': { stepCache: 'first-block' },
  'first-block 1': { stepCache: 'first-block', stepCacheStrength: 1 },
  // The interval is that of Kynkäänniemi et al. 2024 (arXiv:2404.07724) for SDXL.
  'guidance 0.28 to 5.42': { guidanceInterval: [0.28, 5.42] },
  'guidance 0.28 to 5.42, deepcache 0.5': { stepCache: 'deepcache', guidanceInterval: [0.28, 5.42] },
};
/** @type {Record<string, Setting>} */
const CHANGES = {
  none: {},
  FreeU: { freeU: [1.5, 1.6, 0.9, 0.2] },
  'token merging 0.25': { tokenMerging: 0.25 },
  'token merging 0.5': { tokenMerging: 0.5 },
  tiling: { tiling: true },
  PAG: { pag: 3 },
  SAG: { sag: 0.75 },
};
/** @type {Record<string, Setting> | undefined} */
const SETTINGS = { caching: CACHING, changes: CHANGES }[what ?? ''];
if (!SETTINGS) throw new Error(`Expected caching or changes as the first argument, received ${what}`);
const PROMPTS = speed
  ? ['a house']
  : ['a red apple', 'a blue house', 'a green tree at night', 'a yellow star'];

const pipeline = await Pipeline.load(path, {});
// Warm-up: the first run touches weights and buffers.
await pipeline.generate({ prompt: 'a house', steps: 2, ...size });

/**
 * @param {string} prompt @param {object} setting
 * @returns {Promise<{ seconds: number, pixels: Uint8Array | Uint8ClampedArray }>} of denoising
 */
async function draw(prompt, setting) {
  const stream = pipeline.stream({ prompt, seed: 1, steps, ...size, ...setting });
  let begun = 0;
  let ended = 0;
  for await (const step of stream) {
    // Measured from the end of the first step, because it builds the graphs, to the end of the last.
    ended = performance.now();
    if (step.step === 0) begun = ended;
  }
  const { images } = await stream.result;
  const [image] = images;
  if (!image) throw new Error('Expected one image, received none');
  return { seconds: (ended - begun) / 1000, pixels: image.data };
}

/** @type {Map<string, { seconds: number[], differences: number[], largest: number }>} */
const rows = new Map(
  Object.keys(SETTINGS).map((name) => [name, { seconds: [], differences: [], largest: 0 }]),
);
for (let run = 0; run < runs; run++) {
  for (const prompt of PROMPTS) {
    /** @type {Uint8Array | Uint8ClampedArray | undefined} */
    let plain;
    for (const [name, setting] of Object.entries(SETTINGS)) {
      const { seconds, pixels } = await draw(prompt, setting);
      plain ??= pixels;
      const row = rows.get(name);
      if (!row) continue;
      row.seconds.push(seconds);
      const off = Array.from(pixels, (value, i) => Math.abs(value - (plain?.[i] ?? 0)));
      row.differences.push(off.reduce((a, b) => a + b, 0) / off.length);
      row.largest = off.reduce((a, b) => Math.max(a, b), row.largest);
    }
  }
}
await pipeline.dispose();

const whole = median(rows.get('none')?.seconds ?? []);
console.log(`| setting | seconds | faster |${speed ? '' : ' mean difference | largest |'}`);
console.log(`| --- | --- | --- |${speed ? '' : ' --- | --- |'}`);
for (const [name, { seconds, differences, largest }] of rows) {
  const own = median(seconds);
  const mean = differences.reduce((a, b) => a + b, 0) / differences.length;
  console.log(
    `| ${name} | ${own.toFixed(2)} | ${(whole / own).toFixed(2)}× |${speed ? '' : ` ${mean.toFixed(1)} | ${largest} |`}`,
  );
}
