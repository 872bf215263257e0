/** Attempts with pauses between them. */
import { pauseFor } from '../../errors.js';
import { HttpFailure } from './http.js';

export interface RetryOptions {
  readonly signal?: AbortSignal | undefined;
  /** Attempts in a row without progress before it is given up. */
  readonly attempts: number;
  /** Milliseconds before the second attempt; doubles with each, up to 30 s. */
  readonly pause: number;
}

/** Longer than this nobody waits for a server that asks for patience; seconds. */
const LONGEST_WAIT = 300;

/**
 * Calls `work` until it succeeds, fails for good, or has failed `attempts` times without progress in between.
 * @param work gets a function to call whenever something was gained
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
      const asked = error.retryAfter;
      if (failures >= attempts || (asked ?? 0) > LONGEST_WAIT) throw error;
      const backoff = Math.min(pause * 2 ** (failures - 1), 30_000) * (0.75 + Math.random() / 2);
      await pauseFor(Math.max(backoff, (asked ?? 0) * 1000), signal);
    }
  }
}

/** At most `count` pieces of work at a time, in the order they were asked for. */
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
