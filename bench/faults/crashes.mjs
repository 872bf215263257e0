// @ts-check
/** Kills servers and workers at random moments. In the end, each job must be done once, with the image of its seed. */
import { createHash } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { redis, scratch, server, worker } from './processes.mjs';
import { bodyOf, pause, pick, randomBy } from './random.mjs';

/**
 * @typedef {object} Crashes
 * @property {number} jobs
 * @property {number} kills
 * @property {number} seed
 * @property {Record<string, unknown>} options of each job
 * @property {[number, number]} [between] least and most milliseconds between two kills, default 200 and 2200
 * @property {number} [most] time limit in seconds, default 600
 */

/** Options of a job that takes about one second. */
export const usual = { prompt: 'a red apple', width: 192, height: 192, steps: 12 };
/** Number of different seeds. Jobs with the same seed must yield the same image. */
const SEEDS = 4;

/**
 * Kills a server that has its own queue.
 * @param {Crashes} crashes
 */
export async function killServer(crashes) {
  const folder = await scratch();
  const { command, url } = await server(folder, ['--max-queued', '1000']);
  try {
    return await survive({ ...crashes, url, folder }, () => [command]);
  } finally {
    await command.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Kills a server and two workers with a queue in Redis.
 * @param {Crashes & { only?: 'worker' }} crashes `only: 'worker'` does not kill the server
 */
export async function killWorkers(crashes) {
  const [folder, store] = await Promise.all([scratch(), redis()]);
  const queue = ['--queue', store.url];
  const { command, url } = await server(folder, [...queue, '--max-queued', '1000']);
  const workers = await Promise.all([worker(store.url), worker(store.url)]);
  const victims = crashes.only === 'worker' ? workers : [...workers, command];
  try {
    return await survive({ ...crashes, url, folder }, () => victims);
  } catch (error) {
    throw new Error([error, ...workers.map(({ errors }) => errors)].join('\n'));
  } finally {
    await Promise.all([command, ...workers].map((one) => one.kill()));
    await store.end();
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * @param {Crashes & { url: string, folder: string }} crashes
 * @param {() => import('./processes.mjs').Command[]} victims
 */
async function survive(crashes, victims) {
  const { jobs, kills, seed, options, url, folder, between = [200, 2200], most = 600 } = crashes;
  const random = randomBy(seed);
  const begun = performance.now();
  let killed = 0;
  let submitting = true;
  const killing = (async () => {
    for (; killed < kills; killed++) {
      await pause(between[0] + (between[1] - between[0]) * random());
      const victim = pick(random, victims());
      await victim.kill();
      await pause(300 * random());
      await victim.start();
      if (!submitting && (await open(url)).length === 0) break;
    }
  })();
  const ids = await Promise.all(
    Array.from({ length: jobs }, async (_, i) => {
      await pause(i * 20);
      return submit(url, { type: 'text-to-image', ...options, seed: i % SEEDS }, `${seed}-${i}`);
    }),
  );
  submitting = false;
  await killing;
  for (let left = await open(url); left.length > 0; left = await open(url)) {
    if (performance.now() - begun > most * 1000)
      throw new Error(`Jobs did not end within ${most} s: ${JSON.stringify(left.slice(0, 3))}`);
    await pause(100);
  }
  const list = (await json(`${url}/v1/jobs?limit=1000`)).jobs;
  return {
    ...verdict(list, ids),
    pictures: await differing(url, folder, list),
    killed,
    seconds: (performance.now() - begun) / 1000,
  };
}

/** @param {any[]} list @param {string[]} ids */
function verdict(list, ids) {
  const done = list.filter(({ status }) => status === 'done');
  return {
    failed: list.filter(({ error }) => error).map(({ attempts, error }) => ({ attempts, ...error })),
    lost: ids.filter((id) => !done.some((job) => job.id === id)),
    doubled: list.filter(({ id }) => !ids.includes(id)).map(({ id }) => id),
    twice: ids.length - new Set(ids).size,
    repeated: list.filter(({ attempts }) => attempts > 1).length,
  };
}

/**
 * Returns the jobs that do not have exactly one image, or whose image differs from that of another job with the same seed.
 * @param {string} url @param {string} folder @param {any[]} list
 */
async function differing(url, folder, list) {
  /** @type {Map<number, string>} */
  const known = new Map();
  const wrong = [];
  for (const job of list.filter(({ status }) => status === 'done')) {
    const bytes = await fetch(url + (job.images[0]?.url ?? '/')).then((answer) => answer.arrayBuffer());
    const files = await readdir(join(folder, 'jobs', job.id));
    const digest = createHash('sha256').update(Buffer.from(bytes)).digest('hex');
    const first = known.get(job.options.seed) ?? digest;
    known.set(job.options.seed, first);
    const pictures = files.filter((name) => name.endsWith('.png'));
    if (digest !== first || job.images.length !== 1 || pictures.length !== 1) wrong.push(job.id);
  }
  return { different: known.size, wrong };
}

/**
 * Submits a job and retries with the same idempotency key until the server responds.
 * @param {string} url @param {unknown} body @param {string} key
 * @returns {Promise<string>}
 */
async function submit(url, body, key) {
  for (;;) {
    try {
      const answer = await fetch(`${url}/v1/jobs`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': key },
        body: JSON.stringify(body),
      });
      if (answer.status === 201) return bodyOf(answer).then(({ id }) => id);
      if (answer.status < 500) throw new Error(await answer.text());
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // thrown by fetch while the server is down
    }
    await pause(100);
  }
}

/** @param {string} url @returns {Promise<any[]>} jobs that have not ended */
async function open(url) {
  const lists = await Promise.all(
    ['queued', 'running'].map(
      async (status) => (await json(`${url}/v1/jobs?limit=1000&status=${status}`)).jobs,
    ),
  );
  return lists.flat();
}

/** @param {string} url @returns {Promise<any>} */
async function json(url) {
  for (;;) {
    try {
      return await (await fetch(url)).json();
    } catch {
      await pause(100);
    }
  }
}
