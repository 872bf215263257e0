/** The job queue of a server, from submission to removal of jobs, on top of any store. */
import type { DataLock } from '../store/data-lock.js';
import type { JobStore } from '../store/store.js';
import type { Job, JobChange, JobEvent, JobFilter, JobQueue, JobRequest } from '../types.js';
import { JobFeed } from './feed.js';
import { latestOrder, ordersToMove } from './order.js';
import { Retention, type RetentionOptions } from './retention.js';
import { Submission, type SubmissionOptions, type SubmissionParts } from './submission.js';

export interface ServiceOptions extends SubmissionOptions, RetentionOptions {}

export interface ServiceParts extends SubmissionParts {
  /** Runner of the store's jobs in this process, if any; closed before the store. */
  readonly runner?: { close(options: { readonly drain: boolean }): Promise<void> } | undefined;
  /** Lock of the data folder; released after the store is closed. */
  readonly lock?: DataLock | undefined;
}

export class JobService implements JobQueue {
  private readonly store: JobStore;
  private readonly submission: Submission;
  private readonly feed: JobFeed;
  private readonly retention: Retention;

  private constructor(
    private readonly parts: ServiceParts,
    options: ServiceOptions,
  ) {
    const { store } = parts;
    this.store = store;
    this.submission = new Submission(parts, options);
    this.retention = new Retention(
      { expired: (keep, time) => store.expired(keep, time), remove: (id) => this.remove(id) },
      options,
    );
    this.feed = new JobFeed(store, (job) => {
      this.submission.noteDuration(job);
      this.retention.requestSweep();
    });
  }

  /** Opens the service and resumes the jobs in the store. @throws errors of the store */
  static async open(parts: ServiceParts, options: ServiceOptions = {}): Promise<JobService> {
    const service = new JobService(parts, options);
    await service.submission.start();
    await service.feed.start();
    service.retention.start();
    return service;
  }

  get problem(): string | undefined {
    return this.store.problem ?? this.parts.disk.problem;
  }

  submit(request: JobRequest, { idempotencyKey }: { idempotencyKey?: string } = {}): Promise<Job> {
    return this.submission.submit(request, idempotencyKey);
  }

  get(id: string): Promise<Job | undefined> {
    return this.store.get(id);
  }

  list(filter?: JobFilter): Promise<Job[]> {
    return this.store.list(filter);
  }

  async cancel(id: string): Promise<Job | undefined> {
    await this.store.cancel(id);
    return this.store.get(id);
  }

  async finish(id: string): Promise<Job | undefined> {
    await this.store.direct(id, 'finish');
    return this.store.get(id);
  }

  async skip(id: string): Promise<Job | undefined> {
    await this.store.direct(id, 'skip');
    return this.store.get(id);
  }

  async move(id: string, place: number): Promise<Job | undefined> {
    const changes = ordersToMove(await this.store.orders(), id, place);
    for (const [changed, order] of changes) await this.store.move(changed, order);
    this.submission.noteOrder(latestOrder(await this.store.orders()));
    return this.store.get(id);
  }

  async remove(id: string): Promise<boolean> {
    const job = await this.store.get(id);
    if (job?.finished === undefined) return false;
    // Files are removed first: on a full disk this frees the space needed to remove the record.
    await this.store.files.remove(id);
    return this.store.remove(id);
  }

  events(
    id: string,
    { after = 0, signal }: { after?: number; signal?: AbortSignal } = {},
  ): AsyncIterable<JobEvent> {
    return this.feed.events(id, after, signal);
  }

  watch(signal?: AbortSignal): AsyncIterable<JobChange> {
    return this.feed.watch(signal);
  }

  async file(id: string, name: string): Promise<{ path: string; type: string } | undefined> {
    const image = (await this.get(id))?.images.find((candidate) => candidate.name === name);
    const path = image && (await this.store.files.result(id, name));
    return path === undefined || !image ? undefined : { path, type: image.type };
  }

  async close({ drain }: { readonly drain: boolean }): Promise<void> {
    this.submission.stop();
    this.retention.stop();
    this.parts.disk.stop();
    await this.parts.runner?.close({ drain });
    await this.feed.stop();
    await this.store.close();
    await this.parts.lock?.close();
  }
}
