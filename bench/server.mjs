// @ts-check
/**
 * Measures the overhead of the server with the starter model: the same images by a pipeline and over HTTP, in turns; requests
 * that need no model; and how long the event loop is blocked during a generation.
 *
 *   node bench/server.mjs [PICTURES] [SIDE] [STEPS]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Pipeline } from '../.build/lib/index.js';
import { serve } from '../.build/lib/server/serve.js';
import { bodyOf } from './faults/random.mjs';

const [pictures = 20, side = 128, steps = 12] = process.argv.slice(2).map(Number);
const options = { prompt: 'a red apple', width: side, height: side, steps, seed: 1 };

const pipeline = await Pipeline.load();
const data = await mkdtemp(join(tmpdir(), 'safelight-bench-'));
const server = await serve({ port: 0, data, 'log-level': 'silent' });
const url = `${server.url}/v1/jobs`;
const loop = monitorEventLoopDelay({ resolution: 1 });
await job({ ...options, steps: 1 });
const bare = [];
const served = [];
const watched = [];
// In turns, so that other load of the machine affects all of them equally.
for (let i = 0; i < pictures; i++) {
  bare.push(...(await times(1, async () => (await pipeline.generate(options)).images[0]?.png())));
  loop.enable();
  served.push(...(await times(1, () => job({ ...options, previews: { every: 0 } }))));
  watched.push(...(await times(1, () => job({ ...options, previews: { every: 1 } }))));
  loop.disable();
}
await pipeline.dispose();
const lists = await times(500, async () => void (await (await fetch(`${url}?limit=1`)).text()));
await server.close();
await rm(data, { recursive: true, force: true });

console.log(`${side}x${side}, ${steps} steps, median of ${pictures}`);
console.log(`pipeline, encoded as PNG  ${ms(median(bare))}`);
console.log(`over HTTP, image fetched  ${ms(median(served))}   added ${ms(median(served) - median(bare))}`);
console.log(`with previews streamed    ${ms(median(watched))}`);
console.log(
  `pictures a second         ${(1000 / median(served)).toFixed(2)} served, ${(1000 / median(bare)).toFixed(2)} bare`,
);
console.log(
  `requests a second         ${(1000 / median(lists)).toFixed(0)} (a list of jobs, one connection)`,
);
// The histogram records the time between two ticks of a 1 ms timer, so the excess over 1 ms is the delay.
console.log(
  `event loop while serving  p99 ${ms(loop.percentile(99) / 1e6 - 1)}, longest ${ms(loop.max / 1e6 - 1)}`,
);

/**
 * Submits a job, reads its events to the end, and fetches its image.
 * @param {Record<string, unknown>} asked
 */
async function job(asked) {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ type: 'text-to-image', ...asked });
  const { id } = await bodyOf(await fetch(url, { method: 'POST', headers, body }));
  await (await fetch(`${url}/${id}/events`)).text();
  await (await fetch(`${url}/${id}/files/0.png`)).arrayBuffer();
}

/**
 * Returns the milliseconds of each call.
 * @param {number} count
 * @param {() => Promise<unknown>} call
 */
async function times(count, call) {
  await call();
  const found = [];
  for (let i = 0; i < count; i++) {
    const begun = performance.now();
    await call();
    found.push(performance.now() - begun);
  }
  return found;
}

/** @param {number[]} values */
function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** @param {number} value */
function ms(value) {
  return `${value.toFixed(1)} ms`.padStart(9);
}
