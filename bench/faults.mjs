// @ts-check
/**
 * Fault tests of the server. Each prints one line of JSON and fails if a job is lost, duplicated or has a wrong image. Requires
 * `npm run prepare`.
 *
 *   node bench/faults.mjs server [JOBS] [SEED]       kills the server (SIGKILL) at random moments
 *   node bench/faults.mjs worker [JOBS] [SEED]       kills two workers and the server, with a queue in Redis (/usr/bin/redis-server)
 *   node bench/faults.mjs crowd [CLIENTS]            connects many clients at once to a server with a queue of 20
 *   node bench/faults.mjs readers [READERS]          connects clients that never read and clients that never finish their body
 *   node bench/faults.mjs fuzz [REQUESTS] [SEED]     sends random requests generated from the OpenAPI document
 */
import { killServer, killWorkers, usual } from './faults/crashes.mjs';
import { crowd, readers } from './faults/crowd.mjs';
import { fuzz } from './faults/fuzz.mjs';

const [name = '', count, seed = '1'] = process.argv.slice(2);
const jobs = Number(count ?? 50);
const crashes = { jobs, kills: jobs, seed: Number(seed), options: usual };

/** @type {Record<string, () => Promise<{ ok: boolean }>>} */
const tests = {
  server: async () => survived(await killServer(crashes)),
  worker: async () => survived(await killWorkers(crashes)),
  crowd: () => crowd({ clients: Number(count ?? 200) }),
  readers: () => readers({ readers: Number(count ?? 50) }),
  fuzz: () => fuzz({ requests: Number(count ?? 5000), seed: Number(seed) }),
};

/** @param {Awaited<ReturnType<typeof killServer>>} report */
function survived(report) {
  const ok = report.lost.length + report.doubled.length + report.twice + report.pictures.wrong.length === 0;
  return { ok, ...report };
}

const run = tests[name];
if (!run) {
  console.error(`Expected the name of a test: ${Object.keys(tests).join(', ')}`);
  process.exit(2);
}
const report = await run();
console.log(JSON.stringify(report));
process.exit(report.ok ? 0 : 1);
