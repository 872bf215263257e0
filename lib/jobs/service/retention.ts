/** Removal of ended jobs beyond a number of them, or after a number of days. */

export interface RetentionOptions {
  /** Ended jobs that are kept, and for how many days; default 1000 and 30. */
  readonly keepJobs?: number;
  readonly keepDays?: number;
}

const DAY = 86_400_000;
/** Bounds of the milliseconds between looks: often enough for jobs that are kept for a second, seldom enough to cost nothing. */
const [SHORTEST, LONGEST] = [100, 60_000];

export interface RetentionParts {
  /** Ids of ended jobs beyond the newest `keep`, and of those that ended before `time`. */
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

  /** Looks now, and then at intervals until it is stopped. */
  start(): void {
    const pause = Math.min(LONGEST, Math.max(SHORTEST, this.age / 4));
    this.timer = setInterval(() => this.look(), pause);
    this.timer.unref();
    this.look();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** Removes what has expired, in the background: called at intervals, and after each end of a job. */
  look(): void {
    if (this.timer === undefined) return;
    if (this.state === 'idle') void this.sweep();
    else this.state = 'again';
  }

  private async sweep(): Promise<void> {
    do {
      this.state = 'busy';
      // The next look tries again what fails now: a folder that stays, a Redis that does not answer.
      const ids = await this.parts.expired(this.keep, Date.now() - this.age).catch(() => []);
      for (const id of ids) await this.parts.remove(id).catch(() => undefined);
    } while (this.isWantedAgain());
    this.state = 'idle';
  }

  private isWantedAgain(): boolean {
    return this.timer !== undefined && this.state === 'again';
  }
}
