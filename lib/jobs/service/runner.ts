/** Runs the jobs of a store, in a server or in any number of workers. */
import { throwIfAborted } from '../../errors.js';
import { failureOf } from '../failure.js';
import type { RunJob } from '../run/context.js';
import type { Control, JobTurn, JobTurns, Outcome } from '../store/store.js';
import { Reporter } from './reporter.js';

export interface RunnerParts {
  readonly turns: JobTurns;
  readonly run: RunJob;
  /** Number of jobs that run concurrently; default 1. */
  readonly concurrency?: number | undefined;
  /** Called with the error of each run that failed. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
  readonly log?: ((message: string, about: Readonly<Record<string, unknown>>) => void) | undefined;
}

/** Number of attempts after which a job whose process keeps ending is failed. */
export const MAX_ATTEMPTS = 10;
/**
 * Milliseconds between checks that an attempt is still the newest, and before a retry if the store does not
 * answer.
 */
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
  /** Number of calls to `wake`, so that a call between `take` and `pause` is not missed. */
  private calls = 0;
  /** `stopping`: no more jobs are taken. `leaving`: running jobs are given back too. */
  private stopping = false;
  private leaving = false;

  constructor(private readonly parts: RunnerParts) {}

  /** Settles when a job has been started or none is queued. @throws errors of following the store */
  async start(): Promise<void> {
    await this.parts.turns.follow((control) => this.obey(control));
    await new Promise<void>((resolve) => {
      for (let i = 0; i < (this.parts.concurrency ?? 1); i++) this.loops.push(this.loop(resolve));
    });
  }

  /** Stops taking jobs. With `drain`, running jobs end first; otherwise they are queued again. */
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

  private async loop(onStarted: () => void): Promise<void> {
    const { turns, log } = this.parts;
    while (!this.stopping) {
      const calls = this.calls;
      try {
        const turn = await turns.take();
        if (turn) {
          await this.serve(turn, onStarted);
        } else {
          onStarted();
          await this.pause(turns.poll, calls);
        }
      } catch (error) {
        onStarted();
        log?.('job queue does not answer', { error: failureOf(error).message });
        await this.pause(RECOVERY, this.calls);
      }
    }
    onStarted();
  }

  private async serve(turn: JobTurn, onStarted: () => void): Promise<void> {
    try {
      if (turn.job.attempts <= MAX_ATTEMPTS) {
        onStarted();
        await this.work(turn);
      } else {
        const message = `The process running this job ended ${MAX_ATTEMPTS} times, so the job is not retried; see the log of the server or worker`;
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
    log?.('started', { job: job.id, type: job.type, model: job.model, attempt: job.attempts });
    const started = performance.now();
    try {
      const outcome = await this.outcome(run);
      if (outcome === 'left') return await turn.giveBack();
      const { status, ...rest } = outcome;
      const isStored = await this.finish(turn, status, rest);
      const seconds = (performance.now() - started) / 1000;
      log?.(isStored ? status : 'stopped', { job: job.id, seconds, ...rest.error });
    } finally {
      clearInterval(checking);
      this.runs.delete(job.id);
    }
  }

  /** Stores the outcome of a job, retrying until the store accepts it or the runner is closed. */
  private async finish(turn: JobTurn, status: 'done' | 'failed', outcome: Outcome): Promise<boolean> {
    for (;;) {
      try {
        return await turn.finish(status, outcome);
      } catch (error) {
        if (this.stopping) throw error;
        this.parts.log?.('job queue does not answer', { error: failureOf(error).message });
        await this.pause(RECOVERY, this.calls);
      }
    }
  }

  private async outcome(run: Run): Promise<'left' | (Outcome & { readonly status: 'done' | 'failed' })> {
    const { turn, controller, finish, hurry } = run;
    const reporter = new Reporter(turn);
    try {
      throwIfAborted(controller.signal);
      const outcome = await this.parts.run(turn.job, {
        ...{ data: turn.files, signal: controller.signal, finish: finish.signal, hurry: hurry.signal },
        skip: () => {
          if (run.skip.signal.aborted) run.skip = new AbortController();
          return run.skip.signal;
        },
        emit: (event) => reporter.add(event),
      });
      return { status: 'done', ...outcome };
    } catch (error) {
      // Stopped because the process ends; the job will run again.
      if (this.leaving && controller.signal.aborted) return 'left';
      this.parts.onFailure?.(error);
      await reporter.end();
      return { status: 'failed', error: failureOf(error), images: reporter.saved };
    } finally {
      await reporter.end();
    }
  }

  /** Stops the run if the job was cancelled or a newer attempt runs it, in case that message was lost. */
  private async check({ turn, controller }: Run): Promise<void> {
    if (!(await turn.isCurrent().catch(() => true))) controller.abort();
  }

  private wake(): void {
    this.calls++;
    for (const wake of [...this.wakers]) wake();
  }

  /** @param seen value of `calls` before the `take` that returned nothing */
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
