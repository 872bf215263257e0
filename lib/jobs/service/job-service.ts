/** The queue in this process: jobs on disk, one after the other. */
import { createHash } from 'node:crypto';
import { SafelightError, throwIfAborted } from '../../errors.js';
import { Warnings } from '../../warnings.js';
import { said } from '../failure.js';
import { newId } from '../id.js';
import { type PictureLimits, storePictures } from '../images.js';
import type { Json } from '../json.js';
import type { RunContext, RunOutcome } from '../run/run-job.js';
import type { DataFolder } from '../store/data-folder.js';
import type { DataLock } from '../store/data-lock.js';
import { DiskWatch, isDiskError } from '../store/disk.js';
import type { JobStore, StoredJob } from '../store/lmdb/records.js';
import type {
  Job,
  JobChange,
  JobEvent,
  JobFilter,
  JobImage,
  JobProgress,
  JobQueue,
  JobRequest,
} from '../types.js';
import { EventLog } from './event-log.js';
import { Expiry, type ExpiryOptions } from './expiry.js';
import { Watchers } from './watchers.js';

export interface QueueOptions extends PictureLimits, ExpiryOptions {
  /** Jobs that may wait; default 100. */
  readonly maxQueued?: number;
}

/** What the queue needs from outside. */
export interface QueueParts {
  readonly store: JobStore;
  readonly data: DataFolder;
  /** Lock of the data folder; closing the queue releases it. */
  readonly lock?: DataLock | undefined;
  /** Checks a request, fills in the model and the seed. @throws INVALID_OPTION, MODEL_NOT_FOUND */
  readonly prepare: (request: JobRequest) => { readonly model: string; readonly options: Job['options'] };
  readonly run: (job: Job, context: RunContext) => Promise<RunOutcome>;
}

/** After so many beginnings a job whose process keeps ending is given up. */
const MAX_ATTEMPTS = 10;
/** Numbers of events of a further attempt begin here, past all of the one before. */
const EVENTS_AN_ATTEMPT = 1_000_000;

interface Running {
  readonly controller: AbortController;
  readonly finish: AbortController;
  readonly hurry: AbortController;
  skip: AbortController;
  progress?: JobProgress;
  /** Pictures that are there already. */
  readonly images: JobImage[];
  readonly warnings: Warnings;
  cancelled: boolean;
  readonly ended: Promise<void>;
}

export class EmbeddedQueue implements JobQueue {
  private readonly waiting: string[] = [];
  private readonly running = new Map<string, Running>();
  private readonly logs = new Map<string, EventLog>();
  private readonly submitting = new Map<string, Promise<void>>();
  private readonly kept: Expiry;
  private readonly watchers = new Watchers();
  private readonly maxQueued: number;
  private readonly disk: DiskWatch;
  private seconds = 30;
  private lastOrder = 0;
  private closed = false;

  private constructor(
    private readonly parts: QueueParts,
    private readonly options: QueueOptions,
  ) {
    this.maxQueued = options.maxQueued ?? 100;
    this.disk = new DiskWatch(parts.data.path, () => {
      parts.store.flush();
      this.pump();
    });
    parts.store.onFailure = (error) => this.disk.failed(error);
    this.kept = new Expiry(parts.store.ended(), options, async (id) => void (await this.remove(id)));
  }

  /** Takes up what an earlier process left: its running job first. */
  static async open(parts: QueueParts, options: QueueOptions = {}): Promise<EmbeddedQueue> {
    const queue = new EmbeddedQueue(parts, options);
    for (const job of parts.store.unfinished()) {
      if (job.attempts >= MAX_ATTEMPTS) {
        const message = `The process ended ${job.attempts} times while this job ran, so it was given up; see the server's log`;
        await queue.end(job, 'failed', { error: { code: 'INTERNAL', message } });
      } else {
        if (job.status === 'running') parts.store.put({ ...job, status: 'queued' });
        queue.waiting.push(job.id);
        queue.lastOrder = job.order;
      }
    }
    queue.kept.start();
    queue.pump();
    return queue;
  }

  /** The reason why the disk takes no jobs at present; undefined where it does. */
  get problem(): string | undefined {
    return this.disk.problem;
  }

  /** Jobs that wait or run. */
  get length(): number {
    return this.waiting.length + this.running.size;
  }

  async submit(request: JobRequest, { idempotencyKey: key }: { idempotencyKey?: string } = {}): Promise<Job> {
    if (this.closed) throw new SafelightError('DISPOSED', 'The server is stopping and takes no more jobs');
    if (key === undefined) return this.enqueue(request);
    // One after the other for each key: the second finds what the first has made.
    const turn = (this.submitting.get(key) ?? Promise.resolve()).then(() => this.submitOnce(request, key));
    const settled = turn.then(
      () => undefined,
      () => undefined,
    );
    this.submitting.set(key, settled);
    try {
      return await turn;
    } finally {
      if (this.submitting.get(key) === settled) this.submitting.delete(key);
    }
  }

  async get(id: string): Promise<Job | undefined> {
    return this.find(id);
  }

  async list(filter?: JobFilter): Promise<Job[]> {
    return this.parts.store.list(filter).map((job) => this.shown(job));
  }

  async cancel(id: string): Promise<Job | undefined> {
    const running = this.running.get(id);
    if (running) {
      running.cancelled = true;
      running.controller.abort();
      await running.ended;
    } else {
      const job = this.parts.store.get(id);
      const place = this.waiting.indexOf(id);
      if (job && place >= 0) {
        this.waiting.splice(place, 1);
        await this.end(job, 'cancelled', {});
        this.tellPlaces();
      }
    }
    return this.find(id);
  }

  async finish(id: string): Promise<Job | undefined> {
    const running = this.running.get(id);
    (running?.finish.signal.aborted ? running.hurry : running?.finish)?.abort();
    return this.find(id);
  }

  async skip(id: string): Promise<Job | undefined> {
    this.running.get(id)?.skip.abort();
    return this.find(id);
  }

  async move(id: string, place: number): Promise<Job | undefined> {
    const from = this.waiting.indexOf(id);
    if (from >= 0) {
      this.waiting.splice(from, 1);
      this.waiting.splice(Math.max(0, Math.min(place, this.waiting.length)), 0, id);
      const at = this.waiting.indexOf(id);
      const order = between(this.orderOf(this.waiting[at - 1]), this.orderOf(this.waiting[at + 1]));
      const job = this.parts.store.get(id);
      if (job) this.parts.store.put({ ...job, order });
      this.lastOrder = Math.max(this.lastOrder, order);
      this.tellPlaces();
    }
    return this.find(id);
  }

  async remove(id: string): Promise<boolean> {
    const job = this.parts.store.get(id);
    if (job?.finished === undefined) return false;
    this.kept.forget(id);
    // Files first: on a full disk they make the room to forget the job in.
    await this.parts.data.remove(id);
    this.parts.store.remove(id);
    this.logs.delete(id);
    this.watchers.tell(id, { removed: id });
    return true;
  }

  async *events(
    id: string,
    { after = 0, signal }: { after?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<JobEvent, void> {
    const job = this.parts.store.get(id);
    if (job) yield* this.log(job).follow(after, signal);
  }

  watch(signal?: AbortSignal): AsyncIterable<JobChange> {
    return this.watchers.follow(signal);
  }

  async file(id: string, name: string): Promise<{ path: string; type: string } | undefined> {
    const image = this.find(id)?.images.find((one) => one.name === name);
    const path = image && this.parts.data.result(id, name);
    return path === undefined || !image ? undefined : { path, type: image.type };
  }

  async close({ drain }: { drain: boolean }): Promise<void> {
    this.closed = true;
    this.kept.stop();
    this.disk.stop();
    if (!drain) for (const { controller } of this.running.values()) controller.abort();
    await Promise.all([...this.running.values()].map(({ ended }) => ended));
    this.flush();
    await this.parts.store.close();
    await this.parts.lock?.close();
  }

  private flush(): void {
    try {
      this.parts.store.flush();
    } catch {
      // The disk is full still: the next process runs again what this one could not write down as ended.
    }
  }

  private async submitOnce(request: JobRequest, key: string): Promise<Job> {
    const digest = createHash('sha256').update(JSON.stringify(request)).digest('hex');
    const before = this.parts.store.idempotent(key);
    const job = before && this.find(before.id);
    if (!before || !job) return this.enqueue(request, { key, digest });
    if (before.digest === digest) return job;
    throw new SafelightError(
      'INVALID_OPTION',
      'This Idempotency-Key came with another request before; take a new one',
    );
  }

  private async enqueue(
    request: JobRequest,
    idempotent?: { readonly key: string; readonly digest: string },
  ): Promise<Job> {
    const { model, options } = this.parts.prepare(request);
    this.disk.check();
    if (this.waiting.length >= this.maxQueued) throw queueFull(this.maxQueued, this.seconds);
    const id = newId();
    this.waiting.push(id); // its place is taken from here on
    this.lastOrder = Math.max(Date.now(), this.lastOrder + 1);
    const order = this.lastOrder;
    try {
      const job: StoredJob = {
        ...{
          id,
          type: request.type,
          model,
          status: 'queued',
          created: new Date().toISOString(),
          attempts: 0,
        },
        ...{
          previews: request.previews ?? {},
          client: request.client ?? 'own',
          extra: request.extra ?? null,
        },
        options: await storePictures({ id, type: request.type, options }, this.parts.data, this.options),
        ...{ images: [], warnings: [] },
        order,
        ...(idempotent ? { key: idempotent.key } : {}),
      };
      if (this.closed) throw new SafelightError('DISPOSED', 'The server is stopping and takes no more jobs');
      this.parts.store.add(job, idempotent?.digest);
      this.log(job).add({ type: 'queued', data: { place: this.placeOf(id) ?? 0 } });
      this.changed(job);
      const queued = this.shown(job);
      this.pump();
      return queued;
    } catch (error) {
      this.waiting.splice(this.waiting.indexOf(id), 1);
      await this.parts.data.remove(id).catch(() => undefined);
      this.noteDisk(error);
      throw error;
    }
  }

  /** A disk that is full keeps further jobs waiting: their images could not be written either. */
  private noteDisk(error: unknown): void {
    if (isDiskError(error)) this.disk.failed(error);
  }

  /** Begins the next job, if none runs and the disk takes its images. */
  private pump(): void {
    if (this.closed || this.running.size > 0) return;
    if (this.waiting.length > 0 && this.disk.problem !== undefined) {
      this.disk.wait();
      return;
    }
    const job = this.next();
    if (!job) return;
    const running: Omit<Running, 'ended'> = {
      controller: new AbortController(),
      finish: new AbortController(),
      hurry: new AbortController(),
      skip: new AbortController(),
      images: [],
      warnings: new Warnings(),
      cancelled: false,
    };
    const ended = this.work(job, running as Running).finally(() => {
      this.running.delete(job.id);
      this.pump();
    });
    this.running.set(job.id, Object.assign(running, { ended }));
  }

  /** The first that waits and is on disk: one that is only being written comes a moment later. */
  private next(): StoredJob | undefined {
    for (const [place, id] of this.waiting.entries()) {
      const job = this.parts.store.get(id);
      if (!job) continue;
      this.waiting.splice(place, 1);
      return job;
    }
    return undefined;
  }

  private async work(queued: StoredJob, running: Running): Promise<void> {
    const started = new Date();
    const job: StoredJob = {
      ...queued,
      status: 'running',
      attempts: queued.attempts + 1,
      started: started.toISOString(),
    };
    const log = this.log(job);
    try {
      this.parts.store.put(job);
      this.changed(job);
      this.tellPlaces();
      throwIfAborted(running.controller.signal);
      const outcome = await this.parts.run(this.shown(job), {
        data: this.parts.data,
        signal: running.controller.signal,
        finish: running.finish.signal,
        hurry: running.hurry.signal,
        skip: () => {
          if (running.skip.signal.aborted) running.skip = new AbortController();
          return running.skip.signal;
        },
        emit: (event) => {
          if (event.type === 'progress') running.progress = event.data;
          if (event.type === 'image') running.images.push(imageOf(event.data));
          if (event.type === 'warning') running.warnings.add(event.data.code, event.data.message);
          log.add(event);
          if (event.type !== 'preview') this.changed(this.parts.store.get(job.id) ?? job);
        },
      });
      this.seconds = 0.7 * this.seconds + (0.3 * (Date.now() - started.getTime())) / 1000;
      await this.end(job, 'done', outcome);
    } catch (error) {
      this.noteDisk(error);
      if (running.cancelled) await this.end(job, 'cancelled', {});
      else if (this.closed) this.parts.store.put({ ...queued, attempts: queued.attempts });
      else await this.end(job, 'failed', { error: said(error) });
    }
  }

  private async end(
    job: StoredJob,
    status: 'done' | 'failed' | 'cancelled',
    outcome: Partial<Pick<Job, 'images' | 'error'>> & { readonly result?: Json },
  ): Promise<void> {
    const warnings = this.running.get(job.id)?.warnings.list ?? [];
    const ended: StoredJob = { ...job, ...outcome, warnings, status, finished: new Date().toISOString() };
    this.parts.store.put(ended);
    this.log(job).add({ type: status, data: this.shown(ended) });
    this.logs.delete(job.id); // who reads it still has it; who comes later is told the end
    this.changed(ended);
    this.kept.add(job.id, ended.finished);
  }

  /** The log of a job; of one that ended in an earlier process there is only its end to tell. */
  private log(job: StoredJob): EventLog {
    let log = this.logs.get(job.id);
    if (!log) {
      log = new EventLog(1 + job.attempts * EVENTS_AN_ATTEMPT);
      if (job.finished !== undefined)
        log.add({ type: job.status as 'done' | 'failed' | 'cancelled', data: this.shown(job) });
      else this.logs.set(job.id, log);
    }
    return log;
  }

  private find(id: string): Job | undefined {
    const job = this.parts.store.get(id);
    return job && this.shown(job);
  }

  private shown({ order: _, key: _key, ...stored }: StoredJob): Job {
    const job = { ...stored, warnings: stored.warnings ?? [] }; // version 0.1 stored none
    if (job.finished !== undefined) return job;
    const place = job.status === 'queued' ? this.placeOf(job.id) : undefined;
    const { progress, images = [], warnings } = this.running.get(job.id) ?? {};
    return {
      ...job,
      ...(place === undefined ? {} : { place }),
      ...(progress ? { progress } : {}),
      images: [...images],
      warnings: warnings?.list ?? [],
    };
  }

  private placeOf(id: string): number | undefined {
    const at = this.waiting.indexOf(id);
    return at < 0 ? undefined : at + this.running.size;
  }

  private orderOf(id: string | undefined): number | undefined {
    return id === undefined ? undefined : this.parts.store.get(id)?.order;
  }

  private tellPlaces(): void {
    for (const id of this.waiting) {
      const job = this.parts.store.get(id);
      if (!job) continue;
      this.log(job).add({ type: 'queued', data: { place: this.placeOf(id) ?? 0 } });
      this.changed(job);
    }
  }

  private changed(job: StoredJob): void {
    this.watchers.tell(job.id, { job: this.shown(job) });
  }
}

function imageOf({ index: _, ...image }: JobImage & { readonly index: number }): JobImage {
  return image;
}

function between(before: number | undefined, after: number | undefined): number {
  if (before !== undefined && after !== undefined) return (before + after) / 2;
  if (before !== undefined) return before + 1;
  return after !== undefined ? after - 1 : Date.now();
}

/** @param seconds what a job takes */
export function queueFull(maxQueued: number, seconds: number): SafelightError {
  const retryAfter = Math.max(1, Math.ceil(seconds));
  const error = new SafelightError(
    'QUEUE_FULL',
    `${maxQueued} jobs wait already; come again in about ${retryAfter} seconds`,
  );
  return Object.assign(error, { retryAfter });
}
