/** Forgets ended jobs beyond a number of them, or after so many days. */

export interface ExpiryOptions {
  /** Ended jobs that are kept, and for how many days; default 1000 and 30. */
  readonly keepJobs?: number;
  readonly keepDays?: number;
}

const DAY = 86_400_000;
/** Milliseconds between looks: often enough for what is kept shortly, seldom enough to cost nothing. */
const [SOONEST, LATEST] = [100, 60_000];

export class Expiry {
  private readonly most: number;
  private readonly age: number;
  private timer: NodeJS.Timeout | undefined;

  /**
   * @param ended ids and when they ended (ISO 8601), oldest first
   * @param remove forgets one, and calls `forget`
   */
  constructor(
    private readonly ended: Map<string, string>,
    { keepJobs = 1000, keepDays = 30 }: ExpiryOptions,
    private readonly remove: (id: string) => Promise<void>,
  ) {
    this.most = keepJobs;
    this.age = keepDays * DAY;
  }

  /** Looks now, and then every while until it is stopped. */
  start(): void {
    const pause = Math.min(LATEST, Math.max(SOONEST, this.age / 4));
    this.timer = setInterval(() => void this.look(), pause);
    this.timer.unref();
    void this.look();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** One has ended. */
  add(id: string, finished: string | undefined): void {
    this.ended.set(id, finished ?? new Date().toISOString());
    if (this.timer && this.ended.size > this.most) void this.look();
  }

  forget(id: string): void {
    this.ended.delete(id);
  }

  private async look(): Promise<void> {
    const oldest = new Date(Date.now() - this.age).toISOString();
    let many = this.ended.size - this.most;
    const old = [...this.ended].filter(([, finished]) => many-- > 0 || finished < oldest);
    for (const [id] of old) this.ended.delete(id); // so that nobody else takes it up
    for (const [id] of old) await this.remove(id).catch(() => undefined); // a folder that stays is no reason to stop
  }
}
