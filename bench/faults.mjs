// @ts-check
/**
 * What a server is put through, and whether it comes out whole. Compile first (npm run prepare). Each prints one line of JSON and fails where
 * something is lost, doubled or wrong.
 *
 *   node bench/faults.mjs server [JOBS] [SEED]       kill -9 of the server at random moments
 *   node bench/faults.mjs worker [JOBS] [SEED]       the same of two workers and the server, over Redis (/usr/bin/redis-server)
 *   node bench/faults.mjs crowd [CLIENTS]            so many clients at once on a queue of 20
 *   node bench/faults.mjs readers [READERS]          readers that do not read, bodies that never end
 *   node bench/faults.mjs fuzz [REQUESTS] [SEED]     requests made up from the OpenAPI document
 */
import { killServer, killWorkers, usual } from './faults/crashes.mjs';
import { crowd, readers } from './faults/crowd.mjs';
import { fuzz } from './faults/fuzz.mjs';

const [what = '', count, seed = '1'] = process.argv.slice(2);
const jobs = Number(count ?? 50);
const crashes = { jobs, kills: jobs, seed: Number(seed), options: usual };

/** @type {Record<string, () => Promise<{ ok: boolean }>>} */
const all = {
  server: async () => survived(await killServer(crashes)),
  worker: async () => survived(await killWorkers(crashes)),
  crowd: () => crowd({ clients: Number(count ?? 200) }),
  readers: () => readers({ readers: Number(count ?? 50) }),
  fuzz: () => fuzz({ requests: Number(count ?? 5000), seed: Number(seed) }),
};

/** @param {Awaited<ReturnType<typeof killServer>>} told */
function survived(told) {
  const whole = told.lost.length + told.doubled.length + told.twice + told.pictures.wrong.length === 0;
  return { ok: whole, ...told };
}

const run = all[what];
if (!run) {
  console.error(`Name one of ${Object.keys(all).join(', ')}`);
  process.exit(2);
}
const told = await run();
console.log(JSON.stringify(told));
process.exit(told.ok ? 0 : 1);
