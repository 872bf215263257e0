// @ts-check
// Answers each { prompt, seed } with a PNG file; null ends it.
import { parentPort, workerData } from 'node:worker_threads';
import { Pipeline } from 'safelight';

if (!parentPort) throw new Error('worker.mjs runs in a worker thread: node main.mjs');
const port = parentPort;
const pipeline = await Pipeline.load(undefined, { threads: workerData.threads });

port.on('message', async (/** @type {{ prompt: string, seed: number } | null} */ request) => {
  if (request === null) {
    await pipeline.dispose();
    port.close();
    return;
  }
  const { images } = await pipeline.generate({ ...request, steps: 20 });
  for (const image of images) port.postMessage(await image.png());
});
