// @ts-check
// A process or worker thread of its own: node pipeline-process.mjs SCENARIO. Uses the compiled package, as its users do.
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { Pipeline } from '../../dist/index.js';

const scenario = workerData ?? process.argv[2];
const APPLE = { prompt: 'a red apple', seed: 7, steps: 2, width: 32, height: 32 };
const load = () => Pipeline.load(undefined, { threads: 1 });
const start = (/** @type {string} */ name) => new Worker(fileURLToPath(import.meta.url), { workerData: name });

const text = (/** @type {readonly import('../../dist/index.js').GeneratedImage[]} */ images) =>
  images.map(({ data }) => Buffer.from(data).toString('base64')).join();

/** @type {Record<string, () => Promise<void>>} */
const scenarios = {
  // Two workers and this thread generate concurrently while a third is terminated during a generation.
  async threads() {
    const drawn = ['draw', 'draw'].map((name) => once(start(name), 'message'));
    const doomed = start('forever');
    await once(doomed, 'message');
    const others = (await Promise.all(drawn)).map(([picture]) => picture);
    await doomed.terminate();
    const pipeline = await load();
    const { images } = await pipeline.generate(APPLE);
    const own = text(images);
    await pipeline.dispose();
    console.log(others.every((other) => other === own) ? 'equal' : 'different');
  },
  async draw() {
    const pipeline = await load();
    const { images } = await pipeline.generate(APPLE);
    await pipeline.dispose();
    parentPort?.postMessage(text(images));
  },
  async forever() {
    const pipeline = await load();
    parentPort?.postMessage('begun');
    await pipeline.generate({ ...APPLE, steps: 1000, width: 128, height: 128 });
  },
  // Resident bytes that 50 generations and 10 pipelines leave behind, after a warm-up with the same numbers.
  async memory() {
    let [before, after] = [0, 0];
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 10; i++) {
        const pipeline = await load();
        for (let k = 0; k < 5; k++) await pipeline.generate({ ...APPLE, steps: 1, width: 16, height: 16, prompt: `${i} ${k}` });
        await pipeline.dispose();
      }
      globalThis.gc?.();
      [before, after] = [after, process.memoryUsage.rss()];
    }
    console.log(after - before);
  },
  // Exits normally although nothing was disposed.
  async leave() {
    const pipeline = await load();
    const { images } = await pipeline.generate(APPLE);
    console.log(images.length);
  },
};
await scenarios[scenario]?.();
