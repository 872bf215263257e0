// @ts-check
// Scenarios that would end the test's process, run in a child process or worker thread: node child.mjs SCENARIO PLAN.json
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { parentPort, Worker, workerData } from 'node:worker_threads';

const addon = createRequire(import.meta.url)('../../build/Release/safelight.node');
const [scenario, planFile] = workerData ?? process.argv.slice(2);
const { config, plan } = JSON.parse(readFileSync(planFile, 'utf8'));

/** @returns {Promise<any>} */
const create = () => addon.createModule('text_encoder', config, plan, { backend: 'cpu', threads: 1 }).promise;
const inputs = (batch = 1) => ({ tokens: { data: new Int32Array(8 * batch).fill(1), shape: [batch, 8] } });
/** @param {any} module */
const run = (module, batch = 1) => module.run('encode', inputs(batch), {}).promise;
/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const LONG = 4096; // a batch that takes seconds

/** @type {Record<string, () => Promise<void>>} */
const scenarios = {
  // Ends normally although the module is not disposed.
  async leave() {
    const module = await create();
    console.log((await run(module)).outputs.hidden.data.length);
  },
  // Exits during a run, with other runs in the queue.
  async exit() {
    const module = await create();
    for (let i = 0; i < 3; i++) run(module, LONG);
    await sleep(50);
    console.log('leaving');
    process.exit(7);
  },
  // Exits while weights are loaded.
  async exitLoading() {
    for (let i = 0; i < 4; i++) create();
    console.log('leaving');
    process.exit(7);
  },
  // Disposes the module during a run; the pending runs are rejected.
  async disposeRunning() {
    const module = await create();
    const codes = Promise.allSettled([run(module, LONG), run(module)]);
    await sleep(50);
    module.dispose();
    console.log((await codes).map((r) => (r.status === 'rejected' ? r.reason.code : 'ran')).join());
  },
  // Modules that are not disposed: the garbage collector frees their memory (--expose-gc).
  async collect() {
    const turn = async () => {
      await run(await create());
      globalThis.gc?.();
      await sleep(5);
    };
    for (let i = 0; i < 5; i++) await turn();
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 20; i++) await turn();
    await sleep(100);
    console.log(process.memoryUsage().rss - before);
  },
  // Kept outputs of disposed modules that are not disposed themselves: the garbage collector frees them too.
  async collectKept() {
    const turn = async () => {
      const module = await create();
      // 4 MB
      for (let i = 0; i < 4; i++) await module.run('encode', inputs(512), { keep: ['hidden'] }).promise;
      module.dispose();
      globalThis.gc?.();
      await sleep(5);
    };
    for (let i = 0; i < 2; i++) await turn();
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 6; i++) await turn();
    await sleep(100);
    console.log(process.memoryUsage().rss - before);
  },
  // Exits while kept outputs are read, used and computed.
  async exitKept() {
    const module = await create();
    const { hidden } = (await module.run('encode', inputs(64), { keep: ['hidden'] }).promise).kept;
    const parts = [0, 16, 32, 48].map((row) => hidden.slice(row, row + 16));
    module.run('encode', { embeddings: parts }, {});
    for (const part of parts) part.read();
    module.run('encode', inputs(LONG), { keep: ['hidden'] });
    hidden.dispose();
    await sleep(50);
    console.log('leaving');
    process.exit(7);
  },
  // A module that is referenced only by its current run.
  async collectRunning() {
    const running = (async () => run(await create(), 32))();
    for (let i = 0; i < 20; i++) {
      globalThis.gc?.();
      await sleep(5);
    }
    console.log((await running).outputs.hidden.data.length);
  },
  // Several worker threads at once, each with its own environment.
  async workers() {
    const workers = Array.from(
      { length: 4 },
      () => new Worker(new URL(import.meta.url), { workerData: ['answer', planFile] }),
    );
    const ended = Promise.all(workers.map((worker) => once(worker, 'exit')));
    const answers = await Promise.all(workers.map((worker) => once(worker, 'message')));
    const here = (await run(await create())).outputs.hidden.data;
    await ended;
    console.log(answers.every(([answer]) => Buffer.from(answer.buffer).equals(Buffer.from(here.buffer))));
  },
  async answer() {
    const module = await create();
    const { data } = (await run(module)).outputs.hidden;
    parentPort?.postMessage(data, [data.buffer]);
  },
  // Worker threads terminated at various moments of loading and running, while the main thread runs its own module.
  async terminate() {
    const module = await create();
    for (let i = 0; i < 24; i++) {
      const worker = new Worker(new URL(import.meta.url), { workerData: ['work', planFile] });
      await sleep(15 + i * 12);
      await Promise.all([worker.terminate(), run(module)]);
    }
    console.log('survived');
  },
  async work() {
    for (;;) {
      const module = await create();
      await Promise.all([run(module), run(module, 4)]);
      if (Math.random() < 0.5) module.dispose();
    }
  },
  // JavaScript can reach the class but cannot construct modules or call methods on other objects.
  async construct() {
    const module = await create();
    try {
      new module.constructor();
    } catch (error) {
      console.log(String(error));
    }
    try {
      module.run.call({}, 'encode', inputs(), {});
    } catch (error) {
      console.log(error instanceof TypeError);
    }
  },
};

await scenarios[scenario]?.();
