/** Hands out jobs in Redis to the runners of any number of workers on any machines. */
import { SafelightError } from '../../../errors.js';
import type { NewEvent } from '../../types.js';
import type { JobFiles } from '../data-folder.js';
import type { Control, JobSnapshot, JobTurn, JobTurns, Outcome } from '../store.js';
import { connectRedis, loadBullMQ, type RedisClient } from './connect.js';
import { follow } from './messages.js';
import { type Claim, Records } from './records.js';
import { CONTROL } from './scripts.js';
import { type HeldTicket, Tickets } from './tickets.js';

export interface RedisTurnsParts {
  readonly url: string;
  /** Names of the worker's models; it takes only jobs for these. */
  readonly models: readonly string[];
  /** Milliseconds after which the job of a worker that stopped responding passes to another one; default 4000. */
  readonly lock?: number | undefined;
  /** Called with connection errors; the connection is restored automatically. */
  readonly onProblem?: ((error: Error) => void) | undefined;
}

export class RedisTurns implements JobTurns {
  readonly poll = 500;
  private subscriber: RedisClient | undefined;

  private constructor(
    private readonly models: readonly string[],
    private readonly redis: RedisClient,
    private readonly records: Records,
    private readonly tickets: Tickets,
  ) {}

  /** @throws QUEUE_UNAVAILABLE, INVALID_OPTION */
  static async open({ url, models, lock, onProblem }: RedisTurnsParts): Promise<RedisTurns> {
    const bullmq = await loadBullMQ();
    const redis = await connectRedis(url, true);
    return new RedisTurns(models, redis, new Records(redis), new Tickets(bullmq, redis, lock, onProblem));
  }

  async follow(onControl: (control: Control) => void): Promise<void> {
    this.subscriber = await follow<Control>(this.redis, CONTROL, onControl);
  }

  async take(): Promise<JobTurn | undefined> {
    for (let ticket = await this.nextTicket(); ticket; ticket = await this.nextTicket()) {
      const turn = await this.turnOf(ticket);
      if (turn) return turn;
    }
    return undefined;
  }

  async close(): Promise<void> {
    await this.tickets.close();
    this.disconnect();
  }

  /** Closes the connections immediately, like the end of the process would. */
  disconnect(): void {
    this.subscriber?.disconnect();
    this.redis.disconnect();
  }

  /**
   * Takes a ticket of the model with the first queued job. Models without queued jobs are tried first: their
   * tickets were left by workers that died.
   */
  private async nextTicket(): Promise<HeldTicket | undefined> {
    const orders = await Promise.all(this.models.map((model) => this.records.firstOf(model)));
    const ranked = this.models.map((model, i) => ({ model, order: orders[i] }));
    ranked.sort((a, b) => rank(a.order) - rank(b.order));
    for (const { model, order } of ranked) {
      const ticket = await this.tickets.take(model);
      if (ticket) return ticket;
      if (order === undefined) continue;
      // The job has no ticket, because its server ended before adding it. A surplus ticket is harmless.
      await this.tickets.add(model);
      const added = await this.tickets.take(model);
      if (added) return added;
    }
    return undefined;
  }

  /** Binds a ticket to a job. Completes the ticket and returns undefined if no job is queued. */
  private async turnOf(ticket: HeldTicket): Promise<JobTurn | undefined> {
    try {
      const claim = await this.records.claim(ticket.model, ticket.name);
      const job = claim && (await this.records.get(claim.id));
      if (!claim || !job) {
        await ticket.done();
        return undefined;
      }
      const { records } = this;
      return {
        job,
        files: this.filesOf(claim),
        isCurrent: () => records.isCurrent(claim),
        report: (event: NewEvent, snapshot?: JobSnapshot) => records.report(claim, event, snapshot),
        finish: (status: 'done' | 'failed', outcome: Outcome) => records.finish(claim, status, outcome),
        giveBack: () => records.giveBack(claim),
        release: () => ticket.done(),
        abandon: () => ticket.leave(),
      };
    } catch (error) {
      await ticket.done();
      throw error;
    }
  }

  private filesOf(claim: Claim): JobFiles {
    return {
      readInput: (id, name) => this.records.readInput(id, name),
      readResult: (id, name) => this.records.readResult(id, name),
      writeResult: async (_, name, bytes) => {
        if (await this.records.writeFile(claim, name, bytes)) return;
        throw new SafelightError('ABORTED', 'The job has ended, or a newer attempt is running it');
      },
    };
  }
}

function rank(order: number | undefined): number {
  return order ?? Number.NEGATIVE_INFINITY;
}
