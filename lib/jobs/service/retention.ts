/** Removes ended jobs beyond a maximum number or age. */

export interface RetentionOptions {
  /** Number of ended jobs to keep, and for how many days; defaults 1000 and 30. */
  readonly keepJobs?: number;
  readonly keepDays?: number;
}

const DAY = 86_400_000;
/**
 * Bounds of the milliseconds between sweeps: short enough for jobs that are kept for one second, long enough to
 * cost next to nothing.
 */
const [SHORTEST, LONGEST] = [100, 60_000];

export interface RetentionParts {
  /**
   * Returns the ids of ended jobs beyond the newest `keep` and of those that ended before `time` (Unix
   * milliseconds).
   */
  readonly expired: (keep: number, time: number) => Promise<string[]>;
  readonly remove: (id: string) => Promise<unknown>;
}

export class Retention {
  private readonly keep: number;
  private readonly age: number;
  private timer: NodeJS.Timeout | undefined;
  private state: 'idle' | 'busy' | 'again' = 'idle';

  constructor(
    private readonly parts: RetentionParts,
    { keepJobs = 1000, keepDays = 30 }: RetentionOptions,
  ) {
    this.keep = keepJobs;
    this.age = keepDays * DAY;
  }

  /** Sweeps now and then at intervals until stopped. */
  start(): void {
    const pause = Math.min(LONGEST, Math.max(SHORTEST, this.age / 4));
    this.timer = setInterval(() => this.requestSweep(), pause);
    this.timer.unref();
    this.requestSweep();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /**
   * Starts removing expired jobs in the background, or repeats a sweep that is running. Called at intervals and
   * whenever a job ends.
   */
  requestSweep(): void {
    if (this.timer === undefined) return;
    if (this.state === 'idle') void this.sweep();
    else this.state = 'again';
  }

  private async sweep(): Promise<void> {
    do {
      this.state = 'busy';
      // Failures, such as a folder that cannot be removed or a Redis that does not answer, are retried by the next
      // sweep.
      const ids = await this.parts.expired(this.keep, Date.now() - this.age).catch(() => []);
      for (const id of ids) await this.parts.remove(id).catch(() => undefined);
    } while (this.isRequestedAgain());
    this.state = 'idle';
  }

  private isRequestedAgain(): boolean {
    return this.timer !== undefined && this.state === 'again';
  }
}
