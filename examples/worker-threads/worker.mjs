// @ts-check
// Replies to each { prompt, seed } with a PNG file; the message null ends the worker.
import { parentPort, workerData } from 'node:worker_threads';
import { Pipeline } from 'safelight';

if (!parentPort) throw new Error('worker.mjs must run in a worker thread: start main.mjs instead');
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
