/** What takes jobs off the queue in Redis and does them: any number of these, on any machines. */
import { SafelightError, throwIfAborted } from '../../errors.js';
import { Warnings } from '../../warnings.js';
import { said } from '../failure.js';
import type { RunContext, RunOutcome } from '../run/results.js';
import type { JobFiles } from '../store/data-folder.js';
import { connectRedis, loadBullMQ, type RedisClient } from '../store/redis/connect.js';
import { type Claim, type Control, follow, type Kept, Records } from '../store/redis/records.js';
import { CONTROL } from '../store/redis/scripts.js';
import { type HeldTicket, Tickets } from '../store/redis/tickets.js';
import type { Job, JobImage } from '../types.js';
import { isReplaced } from './event-log.js';

export interface WorkerParts {
  readonly url: string;
  /** Names of the models that it has: it takes jobs for these alone. */
  readonly models: readonly string[];
  /** Jobs at a time; default 1. */
  readonly concurrency?: number | undefined;
  /** Milliseconds without a sign of life after which its jobs are others'; default 4000. */
  readonly lock?: number | undefined;
  readonly run: (job: Job, context: RunContext) => Promise<RunOutcome>;
  /** What goes on, for whoever watches the process. */
  readonly log?: (message: string, about: Readonly<Record<string, unknown>>) => void;
}

/** Milliseconds between looks where nobody calls. */
const PAUSE = 500;
/** And between looks whether the job is still to be done. */
const CHECK = 1000;
/** After so many beginnings a job that keeps ending its workers is given up. */
export const MAX_ATTEMPTS = 10;

interface Running {
  readonly claim: Claim;
  readonly controller: AbortController;
  readonly finish: AbortController;
  readonly hurry: AbortController;
  skip: AbortController;
}

export class QueueWorker {
  private readonly running = new Map<string, Running>();
  private readonly loops: Promise<void>[] = [];
  private wakers: (() => void)[] = [];
  /** Whether no more jobs are taken, and whether those under way are given back. */
  private stopping = false;
  private leaving = false;
  private subscriber: RedisClient | undefined;

  private constructor(
    private readonly parts: WorkerParts,
    private readonly redis: RedisClient,
    private readonly records: Records,
    private readonly tickets: Tickets,
  ) {}

  /** Begins to take jobs. @throws QUEUE_UNAVAILABLE, INVALID_OPTION */
  static async start(parts: WorkerParts): Promise<QueueWorker> {
    const bullmq = await loadBullMQ();
    const redis = await connectRedis(parts.url, true);
    const problem = (error: Error) => parts.log?.('the queue has a problem', { error: error.message });
    const tickets = new Tickets(bullmq, redis, parts.lock, problem);
    const worker = new QueueWorker(parts, redis, new Records(redis), tickets);
    worker.subscriber = await follow<Control>(redis, CONTROL, (message) => worker.told(message));
    for (let i = 0; i < (parts.concurrency ?? 1); i++) worker.loops.push(worker.loop());
    return worker;
  }

  /** Takes no more jobs. With `drain` those it does end first, else they wait again for another worker. */
  async close({ drain }: { readonly drain: boolean }): Promise<void> {
    this.stopping = true;
    this.wake();
    this.leaving = !drain;
    if (!drain) for (const { controller } of this.running.values()) controller.abort();
    await Promise.all(this.loops);
    await this.tickets.close();
    this.subscriber?.disconnect();
    this.redis.disconnect();
  }

  private told(message: Control): void {
    if (message.kind === 'work') {
      this.wake();
    } else {
      const running = this.running.get(message.id);
      if (message.kind === 'cancel') running?.controller.abort();
      else if (message.kind === 'finish' && running?.finish.signal.aborted) running.hurry.abort();
      else running?.[message.kind].abort();
    }
  }

  private async loop(): Promise<void> {
    while (!this.stopping) {
      try {
        const ticket = await this.next();
        if (ticket) await this.serve(ticket);
        else await this.pause(PAUSE);
      } catch (error) {
        this.parts.log?.('the queue does not answer', { error: said(error).message });
        await this.pause(2 * PAUSE);
      }
    }
  }

  /** A turn of the model whose job came first. Models with none waiting come before: what a dead worker left is theirs. */
  private async next(): Promise<HeldTicket | undefined> {
    const { models } = this.parts;
    const first = await Promise.all(models.map((model) => this.records.firstOf(model)));
    const order = models.map((_, i) => i).sort((a, b) => rank(first[a]) - rank(first[b]));
    for (const i of order) {
      const model = models[i]!;
      const ticket = await this.tickets.take(model);
      if (ticket) return ticket;
      if (first[i] === undefined) continue;
      // A job without a ticket: its server ended between the two. One too many does no harm.
      await this.tickets.add(model);
      const added = await this.tickets.take(model);
      if (added) return added;
    }
    return undefined;
  }

  private async serve(ticket: HeldTicket): Promise<void> {
    try {
      const claim = await this.records.claim(ticket.model, ticket.name);
      const job = claim && (await this.records.get(claim.id));
      if (!claim || !job) return;
      if (job.attempts > MAX_ATTEMPTS) {
        const message = `${MAX_ATTEMPTS} workers ended while they did this job, so it was given up; see their logs`;
        await this.records.finish(claim, 'failed', { error: { code: 'INTERNAL', message } });
      } else {
        await this.work(job, claim);
      }
    } finally {
      await ticket.done();
    }
  }

  private async work(job: Job, claim: Claim): Promise<void> {
    const running: Running = {
      ...{ claim, controller: new AbortController(), finish: new AbortController() },
      hurry: new AbortController(),
      skip: new AbortController(),
    };
    this.running.set(job.id, running);
    if (this.leaving) running.controller.abort();
    const checking = setInterval(() => void this.check(running), CHECK);
    this.parts.log?.('begun', { job: job.id, type: job.type, model: job.model, attempt: job.attempts });
    const begun = performance.now();
    try {
      const telling = new Telling(this.records, claim);
      const outcome = await this.outcome(job, running, telling);
      await telling.end();
      if ('given' in outcome) return await this.records.giveBack(claim);
      const { status, ...rest } = outcome;
      const kept = await this.records.finish(claim, status, rest);
      const seconds = (performance.now() - begun) / 1000;
      this.parts.log?.(kept ? status : 'stopped', {
        job: job.id,
        seconds,
        ...('error' in rest ? rest.error : {}),
      });
    } finally {
      clearInterval(checking);
      this.running.delete(job.id);
    }
  }

  private async outcome(job: Job, running: Running, telling: Telling) {
    try {
      throwIfAborted(running.controller.signal);
      const made = await this.parts.run(job, {
        data: this.files(running.claim),
        signal: running.controller.signal,
        finish: running.finish.signal,
        hurry: running.hurry.signal,
        skip: () => {
          if (running.skip.signal.aborted) running.skip = new AbortController();
          return running.skip.signal;
        },
        emit: (event) => telling.add(event),
      });
      return { status: 'done', ...made } as const;
    } catch (error) {
      // Stopped because the process ends, and nobody cancelled it meanwhile: then it waits again.
      if (this.leaving && running.controller.signal.aborted) return { given: true } as const;
      return { status: 'failed', error: said(error) } as const;
    }
  }

  private files(claim: Claim): JobFiles {
    return {
      readInput: (id, name) => this.records.readInput(id, name),
      writeResult: async (_, name, data) => {
        if (await this.records.writeFile(claim, name, data)) return;
        throw new SafelightError('ABORTED', 'The job is somebody else’s by now');
      },
    };
  }

  /** What was told while the connection was away: that the job is cancelled, or another worker's. */
  private async check({ claim, controller }: Running): Promise<void> {
    if (!(await this.records.isCurrent(claim).catch(() => true))) controller.abort();
  }

  private wake(): void {
    for (const wake of this.wakers.splice(0)) wake();
  }

  private pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wakers.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

/** Tells of a job one thing after the other: of progress and previews only the newest, where Redis is slower than the job. */
class Telling {
  private readonly images: JobImage[] = [];
  private readonly warnings = new Warnings();
  private readonly pending: Parameters<RunContext['emit']>[0][] = [];
  private telling: Promise<void> | undefined;

  constructor(
    private readonly records: Records,
    private readonly claim: Claim,
  ) {}

  add(event: Parameters<RunContext['emit']>[0]): void {
    const same = this.pending.findIndex((old) => old.type === event.type && isReplaced(old));
    if (same >= 0) this.pending.splice(same, 1);
    this.pending.push(event);
    this.telling ??= this.tell().finally(() => {
      this.telling = undefined;
    });
  }

  async end(): Promise<void> {
    await this.telling;
  }

  private async tell(): Promise<void> {
    for (let event = this.pending.shift(); event; event = this.pending.shift()) {
      await this.records.tell(this.claim, event, this.keep(event)).catch(() => undefined);
    }
  }

  private keep(event: Parameters<RunContext['emit']>[0]): Kept | undefined {
    if (event.type === 'image') {
      const { index: _, ...image } = event.data;
      this.images.push(image);
      return { images: this.images };
    }
    if (event.type !== 'warning') return undefined;
    this.warnings.add(event.data.code, event.data.message);
    return { warnings: this.warnings.list };
  }
}

function rank(order: number | undefined): number {
  return order ?? Number.NEGATIVE_INFINITY;
}
