import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SafelightError } from '../../lib/errors.js';
import { openLocalJobs } from '../../lib/jobs/open.js';
import type { RunContext, RunOutcome } from '../../lib/jobs/run/context.js';
import type { JobService, ServiceOptions } from '../../lib/jobs/service/job-service.js';
import { DataFolder } from '../../lib/jobs/store/data-folder.js';
import { LmdbRecords } from '../../lib/jobs/store/lmdb/records.js';
import type { Job, JobEvent, JobRequest } from '../../lib/jobs/types.js';

const request: JobRequest = { type: 'text-to-image', options: { prompt: 'an apple', seed: 1 } };

/** A job that ends when the test says so, or when it is stopped. */
class Work {
  readonly begun: string[] = [];
  readonly contexts = new Map<string, RunContext>();
  private readonly ends = new Map<string, (error?: Error) => void>();

  run = (job: Job, context: RunContext): Promise<RunOutcome> =>
    new Promise((resolve, reject) => {
      const { signal, emit } = context;
      this.begun.push(job.id);
      this.contexts.set(job.id, context);
      emit({ type: 'progress', data: { phase: 'denoise', step: 1, steps: 2, elapsed: 0 } });
      signal.addEventListener('abort', () => reject(new Error('stopped')));
      this.ends.set(job.id, (error) => (error ? reject(error) : resolve({ images: [] })));
    });

  async end(id: string, error?: Error): Promise<void> {
    await until(() => this.ends.has(id));
    this.ends.get(id)?.(error);
  }
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 400 && !(await condition()); i++)
    await new Promise((resolve) => setTimeout(resolve, 5));
  expect(await condition()).toBe(true);
}

let folder: string;
let work: Work;
let queue: JobService;

async function open(options: ServiceOptions = {}): Promise<JobService> {
  const data = await DataFolder.open(folder);
  const prepare = ({ options: given }: JobRequest) => ({ model: 'starter', options: given });
  return openLocalJobs({ data, prepare, run: (job, context) => work.run(job, context) }, options);
}

const openRecords = (): LmdbRecords => LmdbRecords.open(join(folder, 'queue'));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'safelight-jobs-'));
  work = new Work();
  queue = await open();
});
afterEach(async () => {
  await queue.close({ drain: false });
  await rm(folder, { recursive: true, force: true });
});

describe('a queue in this process', () => {
  it('runs jobs one after the other, in the order in which they came', async () => {
    const jobs = [await queue.submit(request), await queue.submit(request), await queue.submit(request)];
    expect((await queue.get(jobs[2]!.id))?.place).toBe(2);
    for (const { id } of jobs) await work.end(id);
    await until(async () => (await queue.get(jobs[2]!.id))?.status === 'done');
    expect(work.begun).toEqual(jobs.map(({ id }) => id));
    expect((await queue.list()).map(({ id }) => id)).toEqual(jobs.map(({ id }) => id).reverse());
  });

  it('keeps the warnings of a job: while it runs, once it has ended, and after a restart', async () => {
    const warning = { code: 'PROMPT_SYNTAX', message: 'AND is drawn as a word.' } as const;
    let start = (): void => undefined;
    const started = new Promise<void>((resolve) => {
      start = resolve;
    });
    work.run = async (_, { emit }) => {
      await started;
      emit({ type: 'warning', data: warning });
      emit({ type: 'warning', data: warning });
      return { images: [] };
    };
    const { id, warnings } = await queue.submit(request);
    expect(warnings).toEqual([]);
    const events: JobEvent[] = [];
    for await (const event of queue.events(id)) {
      events.push(event);
      start();
    }
    expect(events.filter(({ type }) => type === 'warning').map(({ data }) => data)).toContainEqual(warning);
    expect(events.at(-1)).toMatchObject({ type: 'done', data: { warnings: [warning] } });
    await queue.close({ drain: true });
    queue = await open();
    expect((await queue.get(id))?.warnings).toEqual([warning]);
  });

  it('finishes a running job, and hurries it when it is told to finish again', async () => {
    const [running, waiting] = [await queue.submit(request), await queue.submit(request)];
    await until(() => work.begun.length === 1);
    const { finish, hurry } = work.contexts.get(running.id)!;
    expect((await queue.finish(running.id))?.status).toBe('running');
    expect([finish.aborted, hurry?.aborted]).toEqual([true, false]);
    await queue.finish(running.id);
    expect(hurry?.aborted).toBe(true);
    // A job that waits has nothing to keep.
    expect((await queue.finish(waiting.id))?.status).toBe('queued');
    for (const { id } of [running, waiting]) await work.end(id);
    expect(work.contexts.get(waiting.id)!.finish.aborted).toBe(false);
  });

  it('moves a job that waits to the front', async () => {
    const [first, second, third] = [
      await queue.submit(request),
      await queue.submit(request),
      await queue.submit(request),
    ];
    await queue.move(third.id, 0);
    expect((await queue.get(second.id))?.place).toBe(2);
    for (const id of [first.id, third.id, second.id]) await work.end(id);
    await until(() => work.begun.length === 3);
    expect(work.begun).toEqual([first.id, third.id, second.id]);
  });

  it('cancels what waits and what runs, and goes on with the next', async () => {
    const [first, second, third] = [
      await queue.submit(request),
      await queue.submit(request),
      await queue.submit(request),
    ];
    await until(() => work.begun.includes(first.id));
    expect((await queue.cancel(second.id))?.status).toBe('cancelled');
    expect((await queue.cancel(first.id))?.status).toBe('cancelled');
    await work.end(third.id);
    await until(async () => (await queue.get(third.id))?.status === 'done');
    expect(work.begun).toEqual([first.id, third.id]);
    expect((await queue.cancel(third.id))?.status).toBe('done');
    expect(await queue.cancel('0'.repeat(30))).toBeUndefined();
  });

  it('says why a job failed', async () => {
    const { id } = await queue.submit(request);
    await work.end(id, new Error('no such thing'));
    await until(async () => (await queue.get(id))?.status === 'failed');
    expect((await queue.get(id))?.error).toEqual({ code: 'INTERNAL', message: 'no such thing' });
  });

  it('refuses more than may wait, and says when to come again', async () => {
    await queue.close({ drain: false });
    queue = await open({ maxQueued: 2 });
    for (let i = 0; i < 3; i++) {
      await queue.submit(request);
      await until(() => work.begun.length === 1);
    }
    const error = (await queue.submit(request).catch((e: unknown) => e)) as SafelightError & {
      retryAfter: number;
    };
    expect(error.code).toBe('QUEUE_FULL');
    expect(error.retryAfter).toBeGreaterThan(0);
    expect(await queue.list()).toHaveLength(3);
  });

  it('gives the same job for the same idempotency key, and refuses another request with it', async () => {
    const key = { idempotencyKey: 'k' };
    const [a, b] = await Promise.all([queue.submit(request, key), queue.submit(request, key)]);
    expect(b.id).toBe(a.id);
    expect((await queue.submit(request, key)).id).toBe(a.id);
    await expect(queue.submit({ ...request, options: { prompt: 'a pear' } }, key)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
    expect(await queue.list()).toHaveLength(1);
  });

  it('runs a job again whose process ended, before those that waited, and gives up after ten times', async () => {
    const [first, second] = [await queue.submit(request), await queue.submit(request)];
    await until(() => work.begun.includes(first.id));
    // What kill -9 leaves: a store in which the job still runs.
    const store = openRecords();
    const left = store.get(first.id)!;
    await queue.close({ drain: false });
    const again = openRecords();
    await again.put(left);
    await again.close();
    work = new Work();
    queue = await open();
    await until(() => work.begun.includes(first.id));
    expect((await queue.get(first.id))?.attempts).toBe(2);
    await work.end(first.id);
    await work.end(second.id);
    await until(async () => (await queue.get(second.id))?.status === 'done');
    expect(work.begun).toEqual([first.id, second.id]);
    await queue.close({ drain: true });
    const worn = openRecords();
    await worn.put({ ...left, attempts: 10 });
    await worn.close();
    queue = await open();
    expect(await queue.get(first.id)).toMatchObject({ status: 'failed', error: { code: 'INTERNAL' } });
  });

  it('tells what happened, from where the reader left off, and ends with the job', async () => {
    const { id } = await queue.submit(request);
    await until(() => work.begun.includes(id));
    const seen: JobEvent[] = [];
    const reading = (async () => {
      for await (const event of queue.events(id)) seen.push(event);
    })();
    await work.end(id);
    await reading;
    expect(seen.map(({ type }) => type)).toEqual(['queued', 'progress', 'done']);
    const later: JobEvent[] = [];
    for await (const event of queue.events(id, { after: seen[1]!.id })) later.push(event);
    expect(later.map(({ type }) => type)).toEqual(['done']);
  });

  it('tells watchers the newest state of each job', async () => {
    const stop = new AbortController();
    const changes = queue.watch(stop.signal)[Symbol.asyncIterator]();
    const first = changes.next();
    const { id } = await queue.submit(request);
    expect(await first).toMatchObject({ value: { job: { id } } });
    await work.end(id);
    await until(async () => (await queue.get(id))?.status === 'done');
    let last: unknown;
    while (!JSON.stringify(last ?? '').includes('done')) last = (await changes.next()).value;
    expect(last).toMatchObject({ job: { id, status: 'done' } });
    stop.abort();
    expect((await changes.next()).done).toBe(true);
  });

  it('keeps the pictures of a request beside the job, and forgets them with it', async () => {
    const png = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    const options = { prompt: '', init: `data:image/png;base64,${png.toString('base64')}` };
    const job = await queue.submit({ type: 'image-to-image', options });
    expect(job.options.init).toEqual({ file: 'init' });
    const data = await DataFolder.open(folder);
    expect(Buffer.from(await data.readInput(job.id, 'init'))).toEqual(png);
    await work.end(job.id);
    await until(async () => (await queue.get(job.id))?.status === 'done');
    expect(await queue.remove(job.id)).toBe(true);
    await expect(data.readInput(job.id, 'init')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(
      queue.submit({ type: 'image-to-image', options: { prompt: '', init: 'bm8gcGljdHVyZQ==' } }),
    ).rejects.toMatchObject({ code: 'INVALID_IMAGE' });
  });
});
