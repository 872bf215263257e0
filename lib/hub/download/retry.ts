/** Retries with exponential backoff, and a limit of concurrency. */
import { pauseFor } from '../../errors.js';
import { HttpFailure } from './http.js';

export interface RetryOptions {
  readonly signal?: AbortSignal | undefined;
  /** Attempts in a row without progress after which the download fails. */
  readonly attempts: number;
  /** Milliseconds before the second attempt; doubles for each further one, up to 30 s. */
  readonly pause: number;
}

/** Longest `Retry-After` that is waited for, in seconds. */
const LONGEST_WAIT = 300;

/**
 * Calls `work` until it succeeds, fails permanently, or has failed `attempts` times in a row without progress.
 * @param work receives a function to call on progress
 */
export async function withRetries<T>(
  { signal, attempts, pause }: RetryOptions,
  work: (gained: () => void) => Promise<T>,
): Promise<T> {
  let failures = 0;
  for (;;) {
    try {
      return await work(() => {
        failures = 0;
      });
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof HttpFailure) || !error.transient) throw error;
      failures++;
      const retryAfter = error.retryAfter;
      if (failures >= attempts || (retryAfter ?? 0) > LONGEST_WAIT) throw error;
      const backoff = Math.min(pause * 2 ** (failures - 1), 30_000) * (0.75 + Math.random() / 2);
      await pauseFor(Math.max(backoff, (retryAfter ?? 0) * 1000), signal);
    }
  }
}

/** Runs at most `count` tasks concurrently, in the order of the calls. */
export class Gate {
  private readonly waiting: (() => void)[] = [];
  constructor(private count: number) {}

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.count === 0) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.count--;
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.count++;
    }
  }
}
