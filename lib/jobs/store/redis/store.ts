/** The queue in Redis, as servers see it: workers elsewhere do its jobs, and this one knows what becomes of them. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { SafelightError } from '../../../errors.js';
import { newId } from '../../id.js';
import { type PictureLimits, storePictures } from '../../images.js';
import { EventLog } from '../../service/event-log.js';
import { queueFull } from '../../service/job-service.js';
import { Watchers } from '../../service/watchers.js';
import type { Job, JobChange, JobEvent, JobFilter, JobImage, JobQueue, JobRequest } from '../../types.js';
import type { DataFolder } from '../data-folder.js';
import { DiskWatch } from '../disk.js';
import { connectRedis, loadBullMQ, type RedisClient } from './connect.js';
import { follow, type Message, Records } from './records.js';
import { EVENTS } from './scripts.js';
import { Tickets } from './tickets.js';

export interface RedisQueueOptions extends PictureLimits {
  readonly maxQueued?: number;
  readonly keepJobs?: number;
  readonly keepDays?: number;
}

export interface RedisQueueParts {
  readonly url: string;
  /** Where pictures come to lie once they are made. */
  readonly data: DataFolder;
  /** Checks a request, fills in the model and the seed. @throws INVALID_OPTION, MODEL_NOT_FOUND */
  readonly prepare: (request: JobRequest) => { readonly model: string; readonly options: Job['options'] };
}

/** Milliseconds between looks at what may have been missed, and at what is to be forgotten. */
const [LOOK, EXPIRE] = [3000, 60_000];
const DAY = 86_400_000;

export class RedisQueue implements JobQueue {
  private readonly logs = new Map<string, EventLog>();
  private readonly watchers = new Watchers();
  /** Messages are dealt with one after the other: what follows from one is settled before the next. */
  private turn: Promise<void> = Promise.resolve();
  private readonly timers: NodeJS.Timeout[] = [];
  private subscriber: RedisClient | undefined;
  private seconds = 30;
  private readonly disk: DiskWatch;
  private closed = false;

  private constructor(
    private readonly parts: RedisQueueParts,
    private readonly options: RedisQueueOptions,
    private readonly redis: RedisClient,
    private readonly records: Records,
    private readonly tickets: Tickets,
  ) {
    this.disk = new DiskWatch(parts.data.path, () => undefined);
  }

  /** @throws QUEUE_UNAVAILABLE, INVALID_OPTION */
  static async open(parts: RedisQueueParts, options: RedisQueueOptions = {}): Promise<RedisQueue> {
    const bullmq = await loadBullMQ();
    const redis = await connectRedis(parts.url, false);
    const queue = new RedisQueue(parts, options, redis, new Records(redis), new Tickets(bullmq, redis));
    queue.subscriber = await follow<Message>(redis, EVENTS, (message) => queue.told(message));
    const every = (time: number, work: () => Promise<void>) =>
      queue.timers.push(setInterval(() => void work().catch(() => undefined), time).unref());
    every(LOOK, () => queue.look());
    every(Math.min(EXPIRE, Math.max(100, ((options.keepDays ?? 30) * DAY) / 4)), () => queue.expire());
    await queue.look();
    return queue;
  }

  /** Why it cannot take jobs now, or undefined. */
  get problem(): string | undefined {
    return this.redis.status === 'ready' ? this.disk.problem : 'Redis does not answer';
  }

  async submit(request: JobRequest, { idempotencyKey }: { idempotencyKey?: string } = {}): Promise<Job> {
    if (this.closed) throw new SafelightError('DISPOSED', 'The server is stopping and takes no more jobs');
    const { model, options } = this.parts.prepare(request);
    if (idempotencyKey === undefined) return this.enqueue(request, model, options);
    const digest = createHash('sha256').update(JSON.stringify(request)).digest('hex');
    const known = await this.ask(() => this.records.idempotent(idempotencyKey));
    if (known) return this.again(known, digest);
    return this.enqueue(request, model, options, { key: idempotencyKey, digest });
  }

  get(id: string): Promise<Job | undefined> {
    return this.ask(() => this.records.get(id));
  }

  list(filter?: JobFilter): Promise<Job[]> {
    return this.ask(() => this.records.list(filter));
  }

  async cancel(id: string): Promise<Job | undefined> {
    return this.ask(async () => {
      await this.records.cancel(id);
      return this.records.get(id);
    });
  }

  finish(id: string): Promise<Job | undefined> {
    return this.direct(id, 'finish');
  }

  skip(id: string): Promise<Job | undefined> {
    return this.direct(id, 'skip');
  }

  async move(id: string, place: number): Promise<Job | undefined> {
    return this.ask(async () => {
      const orders = await this.records.orders();
      if (orders.delete(id)) {
        const others = [...orders.values()];
        const at = Math.max(0, Math.min(place, others.length));
        const [before, after] = [others[at - 1], others[at]];
        if (before !== undefined || after !== undefined)
          await this.records.move(id, ((before ?? after! - 2) + (after ?? before! + 2)) / 2);
      }
      return this.records.get(id);
    });
  }

  remove(id: string): Promise<boolean> {
    return this.ask(() => this.records.forget(id));
  }

  async *events(
    id: string,
    { after = 0, signal }: { after?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<JobEvent, void> {
    const job = await this.get(id);
    if (job) yield* this.log(job).follow(after, signal);
  }

  watch(signal?: AbortSignal): AsyncIterable<JobChange> {
    return this.watchers.follow(signal);
  }

  async file(id: string, name: string): Promise<{ path: string; type: string } | undefined> {
    const image = (await this.get(id))?.images.find((one) => one.name === name);
    return image && this.fetched(id, image);
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const timer of this.timers) clearInterval(timer);
    await this.turn;
    await this.tickets.close();
    this.subscriber?.disconnect();
    this.redis.disconnect();
  }

  private async enqueue(
    request: JobRequest,
    model: string,
    given: Job['options'],
    idempotent?: { readonly key: string; readonly digest: string },
  ): Promise<Job> {
    const { type, previews = {}, client = 'own', extra = null } = request;
    const { maxQueued = 100 } = this.options;
    const id = newId();
    const created = new Date().toISOString();
    return this.ask(async () => {
      try {
        const options = await storePictures({ id, type, options: given }, this.files(), this.options);
        const base = { id, type, model, options, previews, client, extra, created };
        const told = await this.records.submit(base, Date.now(), maxQueued, idempotent);
        if (told.kind === 'full') throw queueFull(maxQueued, this.seconds);
        if (told.kind === 'known') {
          await this.parts.data.remove(id);
          return await this.again(told, idempotent?.digest ?? '');
        }
      } catch (error) {
        await this.records.dropInputs(id).catch(() => undefined);
        await this.parts.data.remove(id);
        throw error;
      }
      await this.tickets.add(model);
      await this.records.control({ kind: 'work' });
      return (await this.records.get(id))!;
    });
  }

  /** The job that came with this key before. */
  private async again(known: { readonly id: string; readonly digest: string }, digest: string): Promise<Job> {
    const job = known.digest === digest ? await this.records.get(known.id) : undefined;
    if (job) return job;
    throw new SafelightError(
      'INVALID_OPTION',
      'This Idempotency-Key came with another request before; take a new one',
    );
  }

  private files(): Parameters<typeof storePictures>[1] {
    return {
      // For the worker, and for who looks at the job later.
      writeInput: async (id, name, data) => {
        await Promise.all([
          this.records.writeInput(id, name, data),
          this.parts.data.writeInput(id, name, data),
        ]);
      },
      readInput: (id, name) => this.parts.data.readInput(id, name),
      readResult: async (id, name) => {
        await this.file(id, name);
        return this.parts.data.readResult(id, name);
      },
    };
  }

  private direct(id: string, kind: 'finish' | 'skip'): Promise<Job | undefined> {
    return this.ask(async () => {
      await this.records.control({ kind, id });
      return this.records.get(id);
    });
  }

  private told(message: Message): void {
    this.turn = this.turn.then(() => this.heed(message)).catch(() => undefined); // `look` makes up for it
  }

  private async heed(message: Message): Promise<void> {
    const { id } = message;
    if (message.kind === 'removed') {
      this.logs.delete(id);
      await this.parts.data.remove(id);
      return this.watchers.tell(id, { removed: id });
    }
    const job = await this.records.get(id);
    if (!job) return;
    if (message.kind === 'changed') return this.changed(job);
    const { event } = message;
    if (event.type === 'image') await this.fetched(id, event.data);
    this.log(job).add(event);
    if (event.type !== 'preview') this.watchers.tell(id, { job });
  }

  private async changed(job: Job): Promise<void> {
    const { id, status } = job;
    if (status === 'queued') this.log(job).add({ type: 'queued', data: { place: job.place ?? 0 } });
    else if (job.finished !== undefined) await this.ended(job);
    this.watchers.tell(id, { job });
    if (status !== 'queued') await this.tellPlaces();
  }

  private async ended(job: Job): Promise<void> {
    if (job.status === 'done') {
      await this.collect(job.id);
      const took = (Date.parse(job.finished ?? '') - Date.parse(job.started ?? '')) / 1000;
      if (took >= 0) this.seconds = 0.7 * this.seconds + 0.3 * took;
    }
    this.log(job).add({ type: job.status as 'done' | 'failed' | 'cancelled', data: job });
    this.logs.delete(job.id); // who reads it still has it; who comes later is told the end
  }

  /** The places of those whose events somebody may read. */
  private async tellPlaces(): Promise<void> {
    const [waiting, running] = await Promise.all([this.records.waiting(), this.records.countRunning()]);
    for (const [i, id] of waiting.entries())
      this.logs.get(id)?.add({ type: 'queued', data: { place: i + running } });
  }

  /** Takes the files of an ended job out of Redis into the data folder. */
  private async collect(id: string): Promise<void> {
    for (const name of await this.records.fileNames(id)) {
      const data = await this.records.readFile(id, name);
      if (data) await this.parts.data.writeResult(id, name, data);
    }
    await this.records.collected(id);
  }

  /** A picture that is here, or in Redis still. */
  private async fetched(
    id: string,
    { name, type }: Pick<JobImage, 'name' | 'type'>,
  ): Promise<{ path: string; type: string } | undefined> {
    const path = this.parts.data.result(id, name);
    if (path === undefined) return undefined;
    const data = await this.records.readFile(id, name); // the newest, after a worker died
    if (data) await this.parts.data.writeResult(id, name, data);
    else if (!(await stat(path).catch(() => undefined))) return undefined;
    return { path, type };
  }

  /** What was told while the connection was away. */
  private async look(): Promise<void> {
    for (const id of await this.records.uncollected()) await this.collect(id);
    for (const [id, log] of this.logs) {
      const job = await this.records.get(id);
      if (!job) this.logs.delete(id);
      else if (job.finished !== undefined && !log.ended) this.told({ kind: 'changed', id });
    }
  }

  private async expire(): Promise<void> {
    const { keepJobs = 1000, keepDays = 30 } = this.options;
    for (const id of await this.records.expired(keepJobs, Date.now() - keepDays * DAY)) await this.remove(id);
  }

  /**
   * The log of a job. Events are numbered from the milliseconds since the job was made: so the numbers of a server that was started again, or
   * of another one, are later than those before.
   */
  private log(job: Job): EventLog {
    const known = this.logs.get(job.id);
    if (known) return known;
    const log = new EventLog(Math.max(1, Date.now() - Date.parse(job.created)));
    if (job.finished !== undefined) {
      log.add({ type: job.status as 'done' | 'failed' | 'cancelled', data: job });
      return log;
    }
    if (job.status === 'queued') log.add({ type: 'queued', data: { place: job.place ?? 0 } });
    this.logs.set(job.id, log);
    return log;
  }

  /** @throws QUEUE_UNAVAILABLE where Redis does not answer */
  private async ask<T>(question: () => Promise<T>): Promise<T> {
    try {
      return await question();
    } catch (error) {
      if (error instanceof SafelightError) throw error;
      throw new SafelightError('QUEUE_UNAVAILABLE', 'Redis, which keeps the jobs, does not answer', {
        cause: error,
      });
    }
  }
}
