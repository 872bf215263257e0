import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../errors.js';

/** Multiplications between two turns of the event loop: about ten milliseconds. */
const TURN = 4_000_000;

/**
 * Calls `each` for 0 ... count - 1, and regularly lets the event loop run.
 * @param work approximate multiplications per call
 * @throws ABORTED
 */
export async function inSlices(
  count: number,
  work: number,
  signal: AbortSignal | undefined,
  each: (i: number) => void,
): Promise<void> {
  const slice = Math.max(1, Math.floor(TURN / Math.max(1, work)));
  for (let i = 0; i < count; i++) {
    if (i > 0 && i % slice === 0) {
      await setImmediate();
      throwIfAborted(signal);
    }
    each(i);
  }
}
