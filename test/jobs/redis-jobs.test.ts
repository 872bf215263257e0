/** Jobs of several workers and models through a real Redis; test/jobs/conformance covers what all stores have in common. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openRedisJobs } from '../../lib/jobs/open.js';
import type { JobService } from '../../lib/jobs/service/job-service.js';
import { DataFolder } from '../../lib/jobs/store/data-folder.js';
import { UPSCALING_QUEUE } from '../../lib/jobs/types.js';
import { startRedis, type TestRedis, withoutRedis } from '../support/redis-server.js';
import { startWorker, type TestWorker } from '../support/redis-worker.js';
import { prepare } from './conformance/stage.js';
import { eventsOf, request, typesOf, until, Work } from './conformance/work.js';

describe.skipIf(withoutRedis !== undefined)(`openRedisJobs${withoutRedis ? `: ${withoutRedis}` : ''}`, () => {
  let redis: TestRedis;
  let folder: string;
  let work: Work;
  let service: JobService;
  let workers: TestWorker[];
  let db = 0;

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis?.end());
  const url = () => `${redis.url}/${db % 16}`;
  const open = async () => openRedisJobs({ url: url(), data: await DataFolder.open(folder), prepare }, {});
  const worker = async (models: string[], run = work.run) => {
    const started = await startWorker({ url: url(), models, lock: 640 }, { run });
    workers.push(started);
    return started;
  };
  const status = async (id: string) => (await service.get(id))?.status;
  const ended = (id: string) => until(async () => (await service.get(id))?.finished !== undefined);

  beforeEach(async () => {
    db++;
    folder = await mkdtemp(join(tmpdir(), 'safelight-jobs-'));
    work = new Work();
    workers = [];
    service = await open();
  });
  afterEach(async () => {
    await Promise.all(workers.map((one) => one.close({ drain: false })));
    await service.close({ drain: false });
    await rm(folder, { recursive: true, force: true });
  });

  it('gives a job only to a worker that has its model', async () => {
    await worker(['a', 'c']);
    const other = new Work();
    const [b, a] = [await service.submit({ ...request, model: 'b' }), await service.submit(request)];
    await work.end(a.id);
    await ended(a.id);
    expect(await status(b.id)).toBe('queued');
    await worker(['b'], other.run);
    await other.end(b.id);
    await ended(b.id);
    expect([work.begun, other.begun]).toEqual([[a.id], [b.id]]);
  });

  it('gives upscaling jobs, whatever their upscaler, to a worker that takes these', async () => {
    const upscaling = { ...request, type: 'upscale' as const };
    const [x, y] = [
      await service.submit({ ...upscaling, model: 'x' }),
      await service.submit({ ...upscaling, model: 'y' }),
    ];
    await worker(['a', UPSCALING_QUEUE]);
    for (const { id } of [x, y]) {
      await work.end(id);
      await ended(id);
    }
    expect(work.begun).toEqual([x.id, y.id]);
    expect(await service.get(y.id)).toMatchObject({ type: 'upscale', model: 'y', status: 'done' });
  });

  it('runs jobs of several models in the order of submission, so that none starves', async () => {
    const models = ['a', 'a', 'b', 'a'];
    const jobs = [];
    for (const model of models) jobs.push(await service.submit({ ...request, model }));
    await worker(['a', 'b']);
    for (const { id } of jobs) await work.end(id);
    await ended(jobs[3]!.id);
    expect(work.begun).toEqual(jobs.map(({ id }) => id));
  });

  it('returns jobs and images that a worker completed while the service was stopped', async () => {
    const { id } = await service.submit(request);
    await service.close({ drain: false });
    const stopping = await worker(['a']);
    await work.end(id);
    await stopping.close({ drain: true });
    service = await open();
    expect(await status(id)).toBe('done');
    expect(await readFile((await service.file(id, '0.png'))!.path, 'utf8')).toBe(`made of ${id}`);
    expect(typesOf(await eventsOf(service.events(id, { after: 3 })))).toEqual(['done']);
  });

  it('rejects an unreachable server without showing its password, and other protocols', async () => {
    const data = await DataFolder.open(folder);
    const opened = openRedisJobs({ url: 'redis://:secret@127.0.0.1:1', data, prepare });
    await expect(opened).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE' });
    await opened.catch((error: Error) => expect(error.message).not.toContain('secret'));
    const wrong = openRedisJobs({ url: 'amqp://here', data, prepare });
    await expect(wrong).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});
