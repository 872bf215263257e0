/** Runs jobs: takes turns from a store, one after the other, in a server or in any number of workers. */
import { throwIfAborted } from '../../errors.js';
import { failureOf } from '../failure.js';
import type { RunJob } from '../run/context.js';
import type { Control, JobTurn, JobTurns, Outcome } from '../store/store.js';
import { Reporter } from './reporter.js';

export interface RunnerParts {
  readonly turns: JobTurns;
  readonly run: RunJob;
  /** Jobs at a time; default 1. */
  readonly concurrency?: number | undefined;
  /** Called with the error of each run that failed. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
  readonly log?: ((message: string, about: Readonly<Record<string, unknown>>) => void) | undefined;
}

/** Begins of a job after which it is given up, as each time its process ended. */
export const MAX_ATTEMPTS = 10;
/** Milliseconds between looks whether an attempt is still the newest, and after the store did not answer. */
const [CHECK, RECOVERY] = [1000, 1000];

interface Run {
  readonly turn: JobTurn;
  readonly controller: AbortController;
  readonly finish: AbortController;
  readonly hurry: AbortController;
  skip: AbortController;
}

export class JobRunner {
  private readonly runs = new Map<string, Run>();
  private loops: Promise<void>[] = [];
  private readonly wakers = new Set<() => void>();
  /** Counts calls to `wake`, so that none between a look and a pause is missed. */
  private calls = 0;
  /** No more jobs are taken; and those under way are given back. */
  private stopping = false;
  private leaving = false;

  constructor(private readonly parts: RunnerParts) {}

  /** Settles once it has begun a job, or found none. @throws what following the store throws */
  async start(): Promise<void> {
    await this.parts.turns.follow((control) => this.obey(control));
    await new Promise<void>((resolve) => {
      for (let i = 0; i < (this.parts.concurrency ?? 1); i++) this.loops.push(this.loop(resolve));
    });
  }

  /** Takes no more jobs. With `drain` those under way end first, else they are queued again. */
  async close({ drain }: { readonly drain: boolean }): Promise<void> {
    this.stopping = true;
    this.wake();
    this.leaving = !drain;
    if (!drain) for (const { controller } of this.runs.values()) controller.abort();
    await Promise.all(this.loops);
    await this.parts.turns.close();
  }

  private obey(control: Control): void {
    const run = control.kind === 'work' ? undefined : this.runs.get(control.id);
    if (control.kind === 'work') this.wake();
    else if (control.kind === 'cancel') run?.controller.abort();
    else if (control.kind === 'skip') run?.skip.abort();
    else (run?.finish.signal.aborted ? run.hurry : run?.finish)?.abort();
  }

  private async loop(begun: () => void): Promise<void> {
    const { turns, log } = this.parts;
    while (!this.stopping) {
      const calls = this.calls;
      try {
        const turn = await turns.take();
        if (turn) {
          await this.serve(turn, begun);
        } else {
          begun();
          await this.pause(turns.poll, calls);
        }
      } catch (error) {
        begun();
        log?.('the queue does not answer', { error: failureOf(error).message });
        await this.pause(RECOVERY, this.calls);
      }
    }
    begun();
  }

  private async serve(turn: JobTurn, begun: () => void): Promise<void> {
    try {
      if (turn.job.attempts <= MAX_ATTEMPTS) {
        begun();
        await this.work(turn);
      } else {
        const message = `The process that ran this job ended ${MAX_ATTEMPTS} times, so it was given up; see the log of the server or worker`;
        await this.finish(turn, 'failed', { error: { code: 'INTERNAL', message } });
      }
    } catch (error) {
      turn.abandon();
      throw error;
    }
    await turn.release();
  }

  private async work(turn: JobTurn): Promise<void> {
    const { job } = turn;
    const { log } = this.parts;
    const run: Run = {
      ...{ turn, controller: new AbortController(), finish: new AbortController() },
      ...{ hurry: new AbortController(), skip: new AbortController() },
    };
    this.runs.set(job.id, run);
    if (this.leaving) run.controller.abort();
    const checking = setInterval(() => void this.check(run), CHECK);
    log?.('begun', { job: job.id, type: job.type, model: job.model, attempt: job.attempts });
    const begun = performance.now();
    try {
      const outcome = await this.outcome(run);
      if (outcome === 'left') return await turn.giveBack();
      const { status, ...rest } = outcome;
      const isTensorRef = await this.finish(turn, status, rest);
      const seconds = (performance.now() - begun) / 1000;
      log?.(isTensorRef ? status : 'stopped', { job: job.id, seconds, ...rest.error });
    } finally {
      clearInterval(checking);
      this.runs.delete(job.id);
    }
  }

  /** Stores the outcome of a job: where the store refuses it, again until it takes it, or the runner closes. */
  private async finish(turn: JobTurn, status: 'done' | 'failed', outcome: Outcome): Promise<boolean> {
    for (;;) {
      try {
        return await turn.finish(status, outcome);
      } catch (error) {
        if (this.stopping) throw error;
        this.parts.log?.('the queue does not answer', { error: failureOf(error).message });
        await this.pause(RECOVERY, this.calls);
      }
    }
  }

  private async outcome(run: Run): Promise<'left' | (Outcome & { readonly status: 'done' | 'failed' })> {
    const { turn, controller, finish, hurry } = run;
    const reporter = new Reporter(turn);
    try {
      throwIfAborted(controller.signal);
      const made = await this.parts.run(turn.job, {
        ...{ data: turn.files, signal: controller.signal, finish: finish.signal, hurry: hurry.signal },
        skip: () => {
          if (run.skip.signal.aborted) run.skip = new AbortController();
          return run.skip.signal;
        },
        emit: (event) => reporter.add(event),
      });
      return { status: 'done', ...made };
    } catch (error) {
      // Stopped because the process ends: the job is to be run again.
      if (this.leaving && controller.signal.aborted) return 'left';
      this.parts.onFailure?.(error);
      return { status: 'failed', error: failureOf(error) };
    } finally {
      await reporter.end();
    }
  }

  /** Makes up for a message that was lost: that the job was cancelled, or is another attempt's. */
  private async check({ turn, controller }: Run): Promise<void> {
    if (!(await turn.isCurrent().catch(() => true))) controller.abort();
  }

  private wake(): void {
    this.calls++;
    for (const wake of [...this.wakers]) wake();
  }

  /** @param seen value of `calls` before the look that found nothing */
  private pause(milliseconds: number | undefined, seen: number): Promise<void> {
    if (this.calls !== seen) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.wakers.delete(end);
        resolve();
      };
      const timer = milliseconds === undefined ? undefined : setTimeout(end, milliseconds);
      this.wakers.add(end);
    });
  }
}
