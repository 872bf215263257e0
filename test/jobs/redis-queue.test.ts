/** Jobs through a real Redis: a server's queue on one side, workers on the other, jobs that end when the test says so. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openRedisJobs } from '../../lib/jobs/open.js';
import type { RunContext, RunOutcome } from '../../lib/jobs/run/context.js';
import type { JobService, ServiceOptions } from '../../lib/jobs/service/job-service.js';
import { DataFolder } from '../../lib/jobs/store/data-folder.js';
import type { Job, JobEvent, JobRequest } from '../../lib/jobs/types.js';
import { startRedis, type TestRedis, withoutRedis } from '../support/redis-server.js';
import { startWorker, type TestWorker } from '../support/redis-worker.js';

const request: JobRequest = { type: 'text-to-image', options: { prompt: 'an apple', seed: 1 } };
const image = { name: '0.png', type: 'image/png', width: 8, height: 8, parameters: '' };

/** Work that ends when the test says so. */
class Work {
  readonly begun: string[] = [];
  readonly contexts = new Map<string, RunContext>();
  private readonly ends = new Map<string, (error?: Error) => void>();

  run = (job: Job, context: RunContext): Promise<RunOutcome> =>
    new Promise((resolve, reject) => {
      this.begun.push(job.id);
      this.contexts.set(job.id, context);
      context.emit({ type: 'progress', data: { phase: 'denoise', step: 1, steps: 2, elapsed: 0 } });
      context.signal.addEventListener('abort', () => reject(new Error('stopped')));
      this.ends.set(job.id, (error) => {
        if (error) return reject(error);
        void context.data
          .writeResult(job.id, '0.png', Buffer.from(`made of ${job.id}`))
          .then(() => context.emit({ type: 'image', data: { ...image, index: 0 } }))
          .then(() => resolve({ images: [image], result: { psnr: 30 } }), reject);
      });
    });

  async end(id: string, error?: Error): Promise<void> {
    await until(() => this.ends.has(id));
    this.ends.get(id)?.(error);
  }
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1000 && !(await condition()); i++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  expect(await condition()).toBe(true);
}

describe.skipIf(withoutRedis !== undefined)(
  `a queue in Redis${withoutRedis ? `: ${withoutRedis}` : ''}`,
  () => {
    let redis: TestRedis;
    let folder: string;
    let work: Work;
    let queue: JobService;
    let workers: TestWorker[];
    let db = 0;

    beforeAll(async () => {
      redis = await startRedis();
    });
    afterAll(() => redis?.end());
    const url = () => `${redis.url}/${db % 16}`;
    const open = async (options: ServiceOptions = {}) =>
      openRedisJobs(
        {
          ...{ url: url(), data: await DataFolder.open(folder) },
          prepare: ({ options: given, model = 'a' }) => ({ model, options: given }),
        },
        options,
      );
    const worker = async (models = ['a'], run = work.run, concurrency = 1) => {
      const started = await startWorker({ url: url(), models, lock: 640 }, { run, concurrency });
      workers.push(started);
      return started;
    };
    const status = async (id: string) => (await queue.get(id))?.status;
    const ended = (id: string) => until(async () => (await queue.get(id))?.finished !== undefined);

    beforeEach(async () => {
      db++;
      folder = await mkdtemp(join(tmpdir(), 'safelight-jobs-'));
      work = new Work();
      workers = [];
      queue = await open();
    });
    afterEach(async () => {
      await Promise.all(workers.map((one) => one.close({ drain: false })));
      await queue.close({ drain: false });
      await rm(folder, { recursive: true, force: true });
    });

    it('gives jobs in the order in which they came, and their pictures arrive', async () => {
      const jobs = [await queue.submit(request), await queue.submit(request), await queue.submit(request)];
      expect(jobs.map(({ place }) => place)).toEqual([0, 1, 2]);
      await worker();
      for (const { id } of jobs) await work.end(id);
      await ended(jobs[2]!.id);
      expect(work.begun).toEqual(jobs.map(({ id }) => id));
      const job = (await queue.get(jobs[0]!.id))!;
      expect(job).toMatchObject({ status: 'done', attempts: 1, images: [image], result: { psnr: 30 } });
      const file = await queue.file(job.id, '0.png');
      expect(await readFile(file!.path, 'utf8')).toBe(`made of ${job.id}`);
      expect(await queue.file(job.id, '../jobs.lmdb')).toBeUndefined();
      expect((await queue.list({ status: 'done' })).map(({ id }) => id)).toEqual(
        jobs.map(({ id }) => id).reverse(),
      );
    });

    it('tells what happens elsewhere, and goes on where a reader left off', async () => {
      await worker();
      const { id } = await queue.submit(request);
      const seen: JobEvent[] = [];
      const reading = (async () => {
        for await (const event of queue.events(id)) {
          seen.push(event);
          if (event.type === 'progress') void work.end(id);
        }
      })();
      await reading;
      expect(seen.map(({ type }) => type)).toEqual(['queued', 'progress', 'image', 'done']);
      const later: JobEvent[] = [];
      for await (const event of queue.events(id, { after: seen[2]!.id })) later.push(event);
      expect(later.map(({ type }) => type)).toEqual(['done']);
    });

    it('keeps the warnings of a job, also of one that was cancelled', async () => {
      const warning = { code: 'PROMPT_SYNTAX', message: 'AND is drawn as a word.' } as const;
      await worker(['a'], (job, context) => {
        context.emit({ type: 'warning', data: warning });
        return work.run(job, context);
      });
      const warned = (id: string) => until(async () => (await queue.get(id))?.warnings.length === 1);
      const first = await queue.submit(request);
      await warned(first.id);
      await work.end(first.id);
      await ended(first.id);
      expect((await queue.get(first.id))?.warnings).toEqual([warning]);
      const second = await queue.submit(request);
      await warned(second.id);
      expect(await queue.cancel(second.id)).toMatchObject({ status: 'cancelled', warnings: [warning] });
    });

    it('cancels what waits and what runs within 200 ms, and nothing comes of it later', async () => {
      await worker();
      const [first, second] = [await queue.submit(request), await queue.submit(request)];
      await until(() => work.begun.includes(first.id));
      const begun = performance.now();
      expect((await queue.cancel(second.id))?.status).toBe('cancelled');
      expect((await queue.cancel(first.id))?.status).toBe('cancelled');
      expect(performance.now() - begun).toBeLessThan(200);
      await until(() => work.contexts.get(first.id)!.signal.aborted);
      const third = await queue.submit(request);
      await work.end(third.id);
      await ended(third.id);
      expect(work.begun).toEqual([first.id, third.id]);
      expect(await status(first.id)).toBe('cancelled');
      expect(await queue.cancel('0'.repeat(30))).toBeUndefined();
    });

    it('passes on finish and skip, and moves jobs', async () => {
      const [first, second, third] = [
        await queue.submit(request),
        await queue.submit(request),
        await queue.submit(request),
      ];
      await queue.move(third.id, 0);
      expect((await queue.get(second.id))?.place).toBe(2);
      await worker();
      await until(() => work.begun.length === 1);
      expect(work.begun).toEqual([third.id]);
      await queue.finish(third.id);
      await until(() => work.contexts.get(third.id)!.finish.aborted);
      expect(work.contexts.get(third.id)!.hurry?.aborted).toBe(false);
      await queue.finish(third.id);
      await until(() => work.contexts.get(third.id)!.hurry?.aborted === true);
      const skip = work.contexts.get(third.id)!.skip();
      await queue.skip(third.id);
      await until(() => skip.aborted);
      for (const { id } of [third, first, second]) await work.end(id);
      await ended(second.id);
      expect(work.begun).toEqual([third.id, first.id, second.id]);
    });

    it('gives a job only to a worker that has its model', async () => {
      await worker(['a', 'c']);
      const other = new Work();
      const [b, a] = [await queue.submit({ ...request, model: 'b' }), await queue.submit(request)];
      await work.end(a.id);
      await ended(a.id);
      expect(await status(b.id)).toBe('queued');
      await worker(['b'], other.run);
      await other.end(b.id);
      await ended(b.id);
      expect([work.begun, other.begun]).toEqual([[a.id], [b.id]]);
    });

    it('does not let one model starve another', async () => {
      const models = ['a', 'a', 'b', 'a'];
      const jobs = [];
      for (const model of models) jobs.push(await queue.submit({ ...request, model }));
      await worker(['a', 'b']);
      for (const { id } of jobs) await work.end(id);
      await ended(jobs[3]!.id);
      expect(work.begun).toEqual(jobs.map(({ id }) => id));
    });

    it('takes up the job of a worker that is gone, once', async () => {
      const dead = await worker();
      const { id } = await queue.submit(request);
      await until(() => work.begun.length === 1);
      // Gone as a killed process is: no word to Redis, no lock renewed.
      dead.freeze();
      const other = new Work();
      await worker(['a'], other.run);
      await until(() => other.begun.includes(id));
      expect((await queue.get(id))?.attempts).toBe(2);
      await other.end(id);
      await ended(id);
      // The first comes back and has something to say: nobody listens.
      const late = work.contexts.get(id)!.data.writeResult(id, '0.png', Buffer.from('late'));
      await expect(late).rejects.toThrow();
      expect(await readFile((await queue.file(id, '0.png'))!.path, 'utf8')).toBe(`made of ${id}`);
      expect(await status(id)).toBe('done');
    });

    it('lets a job wait again whose worker is stopped', async () => {
      const first = await worker();
      const { id } = await queue.submit(request);
      await until(() => work.begun.length === 1);
      await first.close({ drain: false });
      expect(await queue.get(id)).toMatchObject({ status: 'queued', attempts: 0 });
      await worker();
      await until(() => work.begun.length === 2);
      await work.end(id);
      await ended(id);
      expect(await queue.get(id)).toMatchObject({ status: 'done', attempts: 1 });
    });

    it('says why a job failed, and gives the same job for the same key', async () => {
      await worker();
      const key = { idempotencyKey: 'k' };
      const [a, b] = await Promise.all([queue.submit(request, key), queue.submit(request, key)]);
      expect(b.id).toBe(a.id);
      await expect(queue.submit({ ...request, options: { prompt: 'x' } }, key)).rejects.toMatchObject({
        code: 'INVALID_OPTION',
      });
      await work.end(a.id, new Error('no such thing'));
      await ended(a.id);
      expect((await queue.get(a.id))?.error).toEqual({ code: 'INTERNAL', message: 'no such thing' });
      expect(await queue.remove(a.id)).toBe(true);
      expect((await queue.submit(request, key)).id).not.toBe(a.id);
    });

    it('refuses more than may wait', async () => {
      await queue.close({ drain: false });
      queue = await open({ maxQueued: 2 });
      await queue.submit(request);
      await queue.submit(request);
      await expect(queue.submit(request)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    });

    it('carries the pictures of a request, and of a result made before', async () => {
      await worker();
      const png = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
        .png()
        .toBuffer();
      const init = `data:image/png;base64,${png.toString('base64')}`;
      const { id } = await queue.submit({ type: 'image-to-image', options: { prompt: '', init } });
      await until(() => work.contexts.has(id));
      expect(Buffer.from(await work.contexts.get(id)!.data.readInput(id, 'init'))).toEqual(png);
      await expect(
        queue.submit({ type: 'image-to-image', options: { prompt: '', init: 'bm8gcGljdHVyZQ==' } }),
      ).rejects.toMatchObject({ code: 'INVALID_IMAGE' });
    });

    it('knows everything still after the server has gone and come back, pictures made meanwhile too', async () => {
      const { id } = await queue.submit(request);
      await queue.close({ drain: false });
      await worker();
      await work.end(id);
      await until(() => workers.every(() => work.begun.length === 1));
      await workers[0]!.close({ drain: true });
      queue = await open();
      expect(await status(id)).toBe('done');
      expect(await readFile((await queue.file(id, '0.png'))!.path, 'utf8')).toBe(`made of ${id}`);
      const told: JobEvent[] = [];
      for await (const event of queue.events(id, { after: 3 })) told.push(event);
      expect(told.map(({ type }) => type)).toEqual(['done']);
    });

    it('is refused at the start where nobody answers, without its password', async () => {
      const data = await DataFolder.open(folder);
      const prepare = () => ({ model: 'a', options: {} });
      const opened = openRedisJobs({ url: 'redis://:secret@127.0.0.1:1', data, prepare });
      await expect(opened).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE' });
      await opened.catch((error: Error) => expect(error.message).not.toContain('secret'));
      const wrong = openRedisJobs({ url: 'amqp://here', data, prepare });
      await expect(wrong).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    });
  },
);
