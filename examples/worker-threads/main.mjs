// @ts-check
// Generates several images in a pool of worker threads: node main.mjs PROMPT...
// A pipeline computes on its own native threads and does not block the event loop, so most programs need no workers. Use
// them if your program already has workers, or to run several pipelines that share the cores.
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

const prompts = process.argv.length > 2 ? process.argv.slice(2) : ['an apple', 'a pear', 'a castle'];
const waiting = [...prompts.entries()];
const count = Math.min(2, prompts.length);
const threads = Math.max(1, Math.floor(availableParallelism() / count));

await Promise.all(Array.from({ length: count }, work));

async function work() {
  const worker = new Worker(new URL('worker.mjs', import.meta.url), { workerData: { threads } });
  try {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [index, prompt] = next;
      worker.postMessage({ prompt, seed: index });
      const [png] = await once(worker, 'message');
      const file = `worker-${index + 1}.png`;
      await writeFile(file, png);
      console.log(file);
    }
  } finally {
    worker.postMessage(null);
  }
}
