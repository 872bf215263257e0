/**
 * Tickets: BullMQ's jobs. Each is a turn of one model; which job of the model it is for is settled when a worker takes it, so that jobs can
 * be moved and cancelled while they wait. BullMQ sees to it that a ticket whose worker died comes to another one.
 */
import { randomUUID } from 'node:crypto';
import type { Queue, Job as Ticket, Worker } from 'bullmq';
import type { BullMQ, RedisClient } from './connect.js';

/**
 * Milliseconds until a worker that was killed has lost its ticket; it is noticed soon after. Short, as what a worker does happens off its
 * event loop, and harmless where it is too short: a job's end is the newest attempt's alone.
 */
const LOCK = 4000;
/** A ticket may be lost as often as workers die; how often a job may be begun is counted with the job. */
const MANY = 1000;

/** A ticket that a worker has taken. */
export interface HeldTicket {
  readonly model: string;
  /** Name of this ticket among those of all models. */
  readonly name: string;
  /** Gives it back for good. */
  done(): Promise<void>;
  /** Shows no more signs of life, so that the ticket comes to another worker. */
  leave(): void;
}

export class Tickets {
  private readonly queues = new Map<string, Queue>();
  private readonly workers = new Map<string, Worker>();

  constructor(
    private readonly bullmq: BullMQ,
    private readonly redis: RedisClient,
    private readonly lock = LOCK,
    /** Called with errors outside of any call; the connection comes back by itself. */
    private readonly problem: (error: Error) => void = () => undefined,
  ) {}

  /** One more turn of a model. */
  async add(model: string): Promise<void> {
    let queue = this.queues.get(model);
    if (!queue) {
      queue = new this.bullmq.Queue(queueName(model), this.settings());
      queue.on('error', this.problem);
      this.queues.set(model, queue);
    }
    await queue.add('turn', {}, { removeOnComplete: true, removeOnFail: true });
  }

  /** The next turn of a model, if there is one. */
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
        // Not this worker's any more: then it is somebody else's to give back.
        await ticket.moveToCompleted(null, token, false).catch(() => undefined);
      },
    };
  }

  async close(): Promise<void> {
    const all = [...this.queues.values(), ...this.workers.values()];
    await Promise.all(all.map((one) => one.close().catch(() => undefined)));
  }

  private async worker(model: string): Promise<Worker> {
    let worker = this.workers.get(model);
    if (!worker) {
      worker = new this.bullmq.Worker(queueName(model), null, {
        ...this.settings(),
        ...{ autorun: false, maxStalledCount: MANY },
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

/** BullMQ's names have no colon. */
function queueName(model: string): string {
  return encodeURIComponent(model);
}
