/**
 * Tickets, which are jobs of BullMQ. A ticket entitles a worker to run one job of a model. It is bound to a job
 * only when a worker takes it, so that queued jobs can be moved and cancelled. BullMQ passes the ticket of a worker
 * that died to another one.
 */
import { randomUUID } from 'node:crypto';
import type { Queue, Job as Ticket, Worker } from 'bullmq';
import type { BullMQ, RedisClient } from './connect.js';

/**
 * Milliseconds after which a killed worker loses its ticket. It can be short, because the work of a worker does
 * not block its event loop, and losing a ticket too early is harmless: only the newest attempt can end a job.
 */
const LOCK = 4000;
/** Number of times that BullMQ may pass on a ticket; attempts are limited per job by the runner instead. */
const MAX_STALLED = 1000;

/** A ticket that a worker has taken. */
export interface HeldTicket {
  readonly model: string;
  /** Name of the ticket, unique across all models. */
  readonly name: string;
  /** Completes the ticket. */
  done(): Promise<void>;
  /** Stops renewing the lock, so that the ticket passes to another worker. */
  leave(): void;
}

export class Tickets {
  private readonly queues = new Map<string, Queue>();
  private readonly workers = new Map<string, Worker>();

  constructor(
    private readonly bullmq: BullMQ,
    private readonly redis: RedisClient,
    private readonly lock = LOCK,
    /** Called with errors that occur outside of calls; the connection is restored automatically. */
    private readonly problem: (error: Error) => void = () => undefined,
  ) {}

  /** Adds a ticket for a model. */
  async add(model: string): Promise<void> {
    let queue = this.queues.get(model);
    if (!queue) {
      queue = new this.bullmq.Queue(queueName(model), this.settings());
      queue.on('error', this.problem);
      this.queues.set(model, queue);
    }
    await queue.add('turn', {}, { removeOnComplete: true, removeOnFail: true });
  }

  /** Takes the next ticket of a model, if there is one. */
  async take(model: string): Promise<HeldTicket | undefined> {
    const worker = await this.worker(model);
    const token = randomUUID();
    const ticket = (await worker.getNextJob(token, { block: false })) as Ticket | undefined;
    if (!ticket) return undefined;
    const renew = (): void => void ticket.extendLock(token, this.lock).catch(() => undefined);
    const renewing = setInterval(renew, this.lock / 4);
    const leave = (): void => clearInterval(renewing);
    return {
      model,
      leave,
      name: `${model}/${ticket.id}`,
      done: async () => {
        leave();
        // If the lock was lost, another worker completes the ticket.
        await ticket.moveToCompleted(null, token, false).catch(() => undefined);
      },
    };
  }

  async close(): Promise<void> {
    const all = [...this.queues.values(), ...this.workers.values()];
    await Promise.all(all.map((connection) => connection.close().catch(() => undefined)));
  }

  private async worker(model: string): Promise<Worker> {
    let worker = this.workers.get(model);
    if (!worker) {
      worker = new this.bullmq.Worker(queueName(model), null, {
        ...this.settings(),
        ...{ autorun: false, maxStalledCount: MAX_STALLED },
        ...{ lockDuration: this.lock, stalledInterval: Math.round(this.lock / 3) },
      });
      worker.on('error', this.problem);
      this.workers.set(model, worker);
      await worker.startStalledCheckTimer();
    }
    return worker;
  }

  private settings() {
    return { connection: this.redis, prefix: 'safelight:bull' };
  }
}

/** Encodes the name of a model, because BullMQ does not allow colons in queue names. */
function queueName(model: string): string {
  return encodeURIComponent(model);
}
