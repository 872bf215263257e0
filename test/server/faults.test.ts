/** A short version of bench/faults.mjs, and how a server stops. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { killServer, killWorkers } from '../../bench/faults/crashes.mjs';
import { fuzz } from '../../bench/faults/fuzz.mjs';
import { scratch, server } from '../../bench/faults/processes.mjs';
import { JobRecords } from '../../lib/jobs/store/local/records.js';
import { withoutRedis } from '../support/redis-server.js';
import { call, startServer, type TestServer } from '../support/server/test-server.js';

// Jobs of half a second, killed in the first second, because the machine may be fast.
const options = { prompt: 'a red apple', width: 192, height: 192, steps: 16 };
const small = { jobs: 4, kills: 2, seed: 1, options, between: [100, 600] as [number, number] };

describe('kill -9', () => {
  it('of the server loses no job and duplicates none', async () => {
    const outcome = await killServer(small);
    expect(outcome).toMatchObject({ lost: [], doubled: [], twice: 0, pictures: { wrong: [] } });
    expect(outcome.killed).toBeGreaterThan(0);
  });

  it.skipIf(withoutRedis !== undefined)(
    `of a worker loses no job and duplicates none${withoutRedis ? `: ${withoutRedis}` : ''}`,
    async () => {
      const outcome = await killWorkers({ ...small, kills: 1, only: 'worker' });
      expect(outcome).toMatchObject({ lost: [], doubled: [], twice: 0, pictures: { wrong: [] } });
      expect(outcome.killed).toBe(1);
    },
  );
});

describe('a server that receives a stop signal', () => {
  const lasting = { type: 'text-to-image', prompt: '', width: 256, height: 256, steps: 30 };
  const begun = async () => {
    const folder = await scratch();
    const { command, url } = await server(folder, ['--threads', '1']);
    const { body } = await call<{ id: string }>(`${url}/v1/jobs`, { method: 'POST', json: lasting });
    const status = async () => (await call(`${url}/v1/jobs/${body.id}`)).body.status;
    while ((await status()) !== 'running') await new Promise((resolve) => setTimeout(resolve, 10));
    const job = async () => {
      const store = JobRecords.open(join(folder, 'queue'));
      const found = store.get(body.id);
      await store.close();
      await rm(folder, { recursive: true, force: true });
      return found;
    };
    return { command, job };
  };

  it('completes the running job first', async () => {
    const { command, job } = await begun();
    expect(await command.kill('SIGTERM')).toBe(0);
    expect(await job()).toMatchObject({ status: 'done', images: [{ width: 256 }] });
  });

  it('stops at once on a second signal, and retries the job after the next start', async () => {
    const { command, job } = await begun();
    void command.kill('SIGTERM');
    while (!command.errors.includes('again')) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await command.kill('SIGTERM')).toBe(143);
    expect(await job()).toMatchObject({ status: 'running', attempts: 1 });
  });
});

describe('random requests from the OpenAPI document', () => {
  let running: TestServer;
  beforeAll(async () => {
    running = await startServer({ 'max-queued': 5, threads: 1 });
  });
  afterAll(() => running.end());

  it('are answered, none of them with a 5xx', async () => {
    const { bad, statuses } = await fuzz({ requests: 100, seed: 7, at: running.url });
    expect(bad).toEqual([]);
    expect(Object.keys(statuses)).toContain('400');
  });
});
