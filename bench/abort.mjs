// @ts-check
/**
 * Measures the time from `abort()` to the rejection, and until the process is idle, because work may continue after the
 * rejection. Each phase of a call is aborted at MOMENTS moments that are spread over its duration. Requires `npm run prepare`.
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
/** @param {AbortSignal | undefined} signal */
const given = (signal) => (signal ? { signal } : {});
const loadOptions = /** @type {import('../dist/index.js').LoadPipelineOptions} */ ({ memory });

/**
 * Times one call to its end, then aborts others at moments spread over that time.
 * @param {string} phase @param {(signal?: AbortSignal) => Promise<unknown>} call
 */
async function measure(phase, call) {
  const begin = performance.now();
  await call();
  const within = performance.now() - begin;
  /** @type {{ wait: number, returned: number, idle: number }[]} */
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
    if (!at || outcome !== 'ABORTED') continue;
    const returned = performance.now() - at;
    times.push({ wait, returned, idle: (await idle()) - at });
  }
  const worst = (/** @type {'returned' | 'idle'} */ key) => Math.max(...times.map((time) => time[key]));
  const list = times.map((t) => `${t.returned.toFixed(1)}/${t.idle.toFixed(0)} (at ${t.wait})`).join(', ');
  console.log(
    `${phase.padEnd(12)} of ${within.toFixed(0).padStart(5)} ms: worst ${worst('returned').toFixed(1)} ms, idle after ${worst('idle').toFixed(0)} ms: ${list}`,
  );
}

/** Resolves with the begin of the first 4 ms in which the process used less than a quarter of a core. */
async function idle() {
  for (;;) {
    const [from, before] = [performance.now(), process.cpuUsage()];
    await new Promise((resolve) => setTimeout(resolve, 4));
    const { user, system } = process.cpuUsage(before);
    if ((user + system) / 1000 < (performance.now() - from) / 4) return from;
  }
}

await measure('load', (signal) =>
  Pipeline.load(model, { ...loadOptions, ...given(signal) }).then((p) => p.dispose()),
);
const pipeline = await Pipeline.load(model, loadOptions);
// Encoded prompts are cached, so each call has a new prompt.
let houses = 0;
await measure('encode text', (signal) => pipeline.encodeText(`a house ${++houses}`, given(signal)));
const text = { prompt: 'a house', width: pixels, height: pixels, seed: 1 };
await measure('denoise', (signal) => pipeline.generate({ ...text, steps: 2, ...given(signal) }));
const { latentChannels, factor } = pipeline.info;
const latent = Tensor.from(
  Float32Array.from({ length: latentChannels * (pixels / factor) ** 2 }, (_, i) => Math.sin(i)),
  [1, latentChannels, pixels / factor, pixels / factor],
);
await measure('decode', (signal) => pipeline.decode(latent, given(signal)));
const image = { data: new Uint8Array(3 * pixels * pixels).fill(90), width: pixels, height: pixels };
await measure('encode', (signal) => pipeline.encode(image, given(signal)));
await pipeline.dispose();
