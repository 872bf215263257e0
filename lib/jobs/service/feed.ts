/**
 * Turns the messages of a store into events of single jobs and changes of all jobs, for readers in this process.
 */
import type { JobStore, StoreMessage } from '../store/store.js';
import type { Job, JobChange, JobEvent } from '../types.js';
import { EventLog, endOf } from './event-log.js';
import { Watchers } from './watchers.js';

/** Milliseconds between checks for jobs that ended but whose message was lost. */
const RECOVERY_INTERVAL = 3000;

export class JobFeed {
  /** Logs of jobs that have not ended. */
  private readonly logs = new Map<string, EventLog>();
  private readonly watchers = new Watchers();
  /** Tail of the message queue: messages are handled one after the other, including all their effects. */
  private queue: Promise<void> = Promise.resolve();
  private timer: NodeJS.Timeout | undefined;
  /** Jobs whose end was noticed by `recover` before its message arrived. */
  private readonly recovered = new Set<string>();

  /** @param onEnd called once for each job that ends */
  constructor(
    private readonly store: JobStore,
    private readonly onEnd: (job: Job) => void,
  ) {}

  async start(): Promise<void> {
    await this.store.follow((message) => this.receive(message));
    this.timer = setInterval(() => void this.recover().catch(() => undefined), RECOVERY_INTERVAL);
    this.timer.unref();
  }

  /** Settles when the messages received so far have been delivered to their readers. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.queue;
  }

  /** Yields the events of a job numbered above `after`; for a job that has ended, only the final event. */
  async *events(id: string, after: number, signal?: AbortSignal): AsyncGenerator<JobEvent, void> {
    const log = this.logs.get(id) ?? (await this.openLog(id, after));
    if (log) yield* log.follow(after, signal);
  }

  watch(signal?: AbortSignal): AsyncIterable<JobChange> {
    return this.watchers.follow(signal);
  }

  private receive(message: StoreMessage): void {
    void this.enqueue(() => this.handle(message));
  }

  private enqueue(work: () => Promise<void>): Promise<void> {
    // If the store does not answer, `recover` retries later.
    this.queue = this.queue.then(work).catch(() => undefined);
    return this.queue;
  }

  private async handle(message: StoreMessage): Promise<void> {
    if (message.kind === 'changed') {
      const { job } = message;
      if (job.finished === undefined || !this.recovered.delete(job.id)) await this.changed(job);
      return;
    }
    const { id } = message;
    if (message.kind === 'removed') {
      this.logs.delete(id);
      this.recovered.delete(id);
      return this.watchers.notify(id, { removed: id });
    }
    const job = await this.store.get(id);
    const isRunning = job !== undefined && job.finished === undefined;
    const log = this.logs.get(id) ?? (isRunning ? this.createLog(job) : undefined);
    log?.add(message.event);
    // A job that has ended in the meantime gets a separate message.
    if (isRunning && message.event.type !== 'preview') this.watchers.notify(id, { job });
  }

  private async changed(job: Job): Promise<void> {
    const { id, place } = job;
    if (job.finished !== undefined) {
      this.logs.get(id)?.add(endOf(job));
      this.logs.delete(id); // current readers still reference the log; later ones get only the final event
      this.onEnd(job);
    } else {
      const log = this.logs.get(id) ?? this.createLog(job);
      if (place !== undefined) log.add({ type: 'queued', data: { place } });
    }
    this.watchers.notify(id, { job });
    await this.updatePlaces();
  }

  /** Publishes the places of queued jobs whose place has changed. */
  private async updatePlaces(): Promise<void> {
    const [orders, { running }] = await Promise.all([this.store.orders(), this.store.counts()]);
    for (const [i, id] of [...orders.keys()].entries()) {
      if (!this.logs.get(id)?.add({ type: 'queued', data: { place: i + running } })) continue;
      const job = await this.store.get(id);
      if (job?.status === 'queued') this.watchers.notify(id, { job });
    }
  }

  private async openLog(id: string, after: number): Promise<EventLog | undefined> {
    const job = await this.store.get(id);
    if (!job) return undefined;
    if (job.finished === undefined) return this.logs.get(id) ?? this.createLog(job);
    const log = new EventLog(after + 1);
    log.add(endOf(job));
    return log;
  }

  /**
   * Creates the log of a job. Event numbers start at the milliseconds since the job was created, so that a
   * restarted server or another server continues with higher numbers.
   */
  private createLog(job: Job): EventLog {
    const log = new EventLog(Math.max(1, Date.now() - Date.parse(job.created)));
    if (job.place !== undefined) log.add({ type: 'queued', data: { place: job.place } });
    this.logs.set(job.id, log);
    return log;
  }

  /** Recovers the ends of jobs whose messages were lost while the store was disconnected. */
  private async recover(): Promise<void> {
    for (const id of [...this.logs.keys()]) {
      const job = await this.store.get(id);
      if (!job) this.logs.delete(id);
      else if (job.finished !== undefined) await this.enqueue(() => this.recoverEnd(job));
    }
  }

  private async recoverEnd(job: Job): Promise<void> {
    if (!this.logs.has(job.id)) return; // its message arrived in the meantime
    this.recovered.add(job.id);
    await this.changed(job);
  }
}
