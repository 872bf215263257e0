/** Job store in Redis: any number of servers share the jobs, and workers on any machines run them. */
import { type Job, type JobFilter, queueOf } from '../../types.js';
import type { DataFolder } from '../data-folder.js';
import type { AddResult, AddTerms, JobBase, JobStore, KeyedJob, StoreMessage } from '../store.js';
import { awaitReply, connectRedis, loadBullMQ, type RedisClient } from './connect.js';
import { RedisFiles } from './files.js';
import { asOf, follow, type Message } from './messages.js';
import { Records } from './records.js';
import { EVENTS } from './scripts.js';
import { Tickets } from './tickets.js';

export interface RedisStoreParts {
  readonly url: string;
  /** Data folder into which results are fetched. */
  readonly data: DataFolder;
}

/** Milliseconds between checks for results whose messages were lost. */
const RECOVERY_INTERVAL = 3000;

export class RedisStore implements JobStore {
  readonly files: RedisFiles;
  /** Tail of the message queue: messages are delivered one after the other, after their files have been fetched. */
  private queue: Promise<void> = Promise.resolve();
  private timer: NodeJS.Timeout | undefined;
  private subscriber: RedisClient | undefined;

  private constructor(
    data: DataFolder,
    private readonly redis: RedisClient,
    private readonly records: Records,
    private readonly tickets: Tickets,
  ) {
    this.files = new RedisFiles(records, data);
  }

  /** @throws QUEUE_UNAVAILABLE, INVALID_OPTION */
  static async open({ url, data }: RedisStoreParts): Promise<RedisStore> {
    const bullmq = await loadBullMQ();
    const redis = await connectRedis(url, false);
    return new RedisStore(data, redis, new Records(redis), new Tickets(bullmq, redis));
  }

  get problem(): string | undefined {
    return this.redis.status === 'ready' ? undefined : 'Redis does not answer';
  }

  async follow(onMessage: (message: StoreMessage) => void): Promise<void> {
    this.subscriber = await follow<Message>(this.redis, EVENTS, (message) => {
      // Failures are recovered by the periodic checks of this store and of the feed.
      this.queue = this.queue.then(() => this.deliver(message, onMessage)).catch(() => undefined);
    });
    this.timer = setInterval(() => void this.files.collectAll().catch(() => undefined), RECOVERY_INTERVAL);
    this.timer.unref();
    await this.files.collectAll();
  }

  get(id: string): Promise<Job | undefined> {
    return awaitReply(this.records.get(id));
  }

  list(filter?: JobFilter): Promise<Job[]> {
    return awaitReply(this.records.list(filter));
  }

  keyed(key: string): Promise<KeyedJob | undefined> {
    return awaitReply(this.records.keyed(key));
  }

  counts() {
    return awaitReply(this.records.counts());
  }

  orders(): Promise<ReadonlyMap<string, number>> {
    return awaitReply(this.records.orders());
  }

  expired(keep: number, time: number): Promise<string[]> {
    return awaitReply(this.records.expired(keep, time));
  }

  add(job: JobBase, terms: AddTerms): Promise<AddResult> {
    return awaitReply(this.addWithTicket(job, terms));
  }

  move(id: string, order: number): Promise<void> {
    return awaitReply(this.records.move(id, order));
  }

  cancel(id: string): Promise<boolean> {
    return awaitReply(this.records.cancel(id));
  }

  remove(id: string): Promise<boolean> {
    return awaitReply(this.records.remove(id));
  }

  direct(id: string, request: 'finish' | 'skip'): Promise<void> {
    return awaitReply(this.records.control({ kind: request, id }));
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    await this.queue;
    await this.tickets.close();
    this.subscriber?.disconnect();
    this.redis.disconnect();
  }

  private async addWithTicket(job: JobBase, terms: AddTerms): Promise<AddResult> {
    const result = await this.records.add(job, terms);
    if (result.kind === 'added') {
      await this.tickets.add(queueOf(job));
      await this.records.control({ kind: 'work' });
    }
    return result;
  }

  private async deliver(message: Message, onMessage: (message: StoreMessage) => void): Promise<void> {
    const { kind, id } = message;
    if (kind === 'removed') {
      await this.files.remove(id); // another server may have removed the job
      return onMessage({ kind, id });
    }
    if (kind === 'event') {
      if (message.event.type === 'image') await this.files.result(id, message.event.data.name);
      return onMessage(message);
    }
    const job = await this.records.get(id);
    if (!job) return;
    const snapshot = asOf(job, message.status);
    if (snapshot.finished !== undefined) await this.files.collect(id);
    onMessage({ kind, job: snapshot });
  }
}
