/** Events of jobs and changes of all jobs, for readers in this process, from the messages of a store. */
import type { JobStore, StoreMessage } from '../store/store.js';
import type { Job, JobChange, JobEvent } from '../types.js';
import { EventLog, endOf } from './event-log.js';
import { Watchers } from './watchers.js';

/** Milliseconds between looks for ends of jobs whose messages were lost. */
const LOOK = 3000;

export class JobFeed {
  /** Logs of jobs that have not ended. */
  private readonly logs = new Map<string, EventLog>();
  private readonly watchers = new Watchers();
  /** Messages are handled one after the other: all that follows from one is done before the next. */
  private turn: Promise<void> = Promise.resolve();
  private timer: NodeJS.Timeout | undefined;
  /** Jobs whose end `look` found before the message of it came. */
  private readonly found = new Set<string>();

  /** @param onEnd called for each job that ends */
  constructor(
    private readonly store: JobStore,
    private readonly onEnd: (job: Job) => void,
  ) {}

  async start(): Promise<void> {
    await this.store.follow((message) => this.receive(message));
    this.timer = setInterval(() => void this.look().catch(() => undefined), LOOK);
    this.timer.unref();
  }

  /** Settles once the messages so far have reached their readers. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.turn;
  }

  /** Yields the events of a job numbered above `after`; of a job that has ended, the end alone. */
  async *events(id: string, after: number, signal?: AbortSignal): AsyncGenerator<JobEvent, void> {
    const log = this.logs.get(id) ?? (await this.opened(id, after));
    if (log) yield* log.follow(after, signal);
  }

  watch(signal?: AbortSignal): AsyncIterable<JobChange> {
    return this.watchers.follow(signal);
  }

  private receive(message: StoreMessage): void {
    void this.enqueue(() => this.handle(message));
  }

  private enqueue(work: () => Promise<void>): Promise<void> {
    // A store that does not answer now is asked again by `look`.
    this.turn = this.turn.then(work).catch(() => undefined);
    return this.turn;
  }

  private async handle(message: StoreMessage): Promise<void> {
    if (message.kind === 'changed') {
      const { job } = message;
      if (job.finished === undefined || !this.found.delete(job.id)) await this.changed(job);
      return;
    }
    const { id } = message;
    if (message.kind === 'removed') {
      this.logs.delete(id);
      this.found.delete(id);
      return this.watchers.notify(id, { removed: id });
    }
    const job = await this.store.get(id);
    const isRunning = job !== undefined && job.finished === undefined;
    const log = this.logs.get(id) ?? (isRunning ? this.open(job) : undefined);
    log?.add(message.event);
    // A job that has ended meanwhile gets a message of its own.
    if (isRunning && message.event.type !== 'preview') this.watchers.notify(id, { job });
  }

  private async changed(job: Job): Promise<void> {
    const { id, place } = job;
    if (job.finished !== undefined) {
      this.logs.get(id)?.add(endOf(job));
      this.logs.delete(id); // readers have it still; who comes later gets the end
      this.onEnd(job);
    } else {
      const log = this.logs.get(id) ?? this.open(job);
      if (place !== undefined) log.add({ type: 'queued', data: { place } });
    }
    this.watchers.notify(id, { job });
    await this.updatePlaces();
  }

  /** Publishes the places of queued jobs that are not what they were. */
  private async updatePlaces(): Promise<void> {
    const [orders, { running }] = await Promise.all([this.store.orders(), this.store.counts()]);
    for (const [i, id] of [...orders.keys()].entries()) {
      if (!this.logs.get(id)?.add({ type: 'queued', data: { place: i + running } })) continue;
      const job = await this.store.get(id);
      if (job?.status === 'queued') this.watchers.notify(id, { job });
    }
  }

  private async opened(id: string, after: number): Promise<EventLog | undefined> {
    const job = await this.store.get(id);
    if (!job) return undefined;
    if (job.finished === undefined) return this.logs.get(id) ?? this.open(job);
    const log = new EventLog(after + 1);
    log.add(endOf(job));
    return log;
  }

  /**
   * Begins the log of a job. Events are numbered from the milliseconds since the job was created, so that the numbers of a server that was
   * restarted, or of another server, are above those before.
   */
  private open(job: Job): EventLog {
    const log = new EventLog(Math.max(1, Date.now() - Date.parse(job.created)));
    if (job.place !== undefined) log.add({ type: 'queued', data: { place: job.place } });
    this.logs.set(job.id, log);
    return log;
  }

  /** Makes up for messages that were lost while the connection to the store was. */
  private async look(): Promise<void> {
    for (const id of [...this.logs.keys()]) {
      const job = await this.store.get(id);
      if (!job) this.logs.delete(id);
      else if (job.finished !== undefined) await this.enqueue(() => this.makeUpEnd(job));
    }
  }

  private async makeUpEnd(job: Job): Promise<void> {
    if (!this.logs.has(job.id)) return; // its message came meanwhile
    this.found.add(job.id);
    await this.changed(job);
  }
}
