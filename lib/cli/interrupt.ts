/**
 * Handles Ctrl-C: the first aborts the work between two graph nodes or finishes it early, the second ends the process
 * immediately.
 */
import { FINISH } from '../pipelines/finish-signal.js';
import { EXIT, Interruption } from './failure.js';
import { STOP_SIGNALS } from './stop-signals.js';

/**
 * Runs `work` with a signal that is aborted by the first of `STOP_SIGNALS`. Rejects with `Interruption` if that
 * ended the work; work that has already finished keeps its result.
 * @param canFinish returns true once there is a partial result to keep: the first SIGINT then aborts with the reason
 *   `'finish'`, see `wasFinished`
 */
export async function interruptible<T>(
  work: (signal: AbortSignal) => Promise<T>,
  canFinish: () => boolean = () => false,
): Promise<T> {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(name === 'SIGINT' ? EXIT.interrupted : EXIT.terminated);
    // Starts a new line after the ^C that the terminal prints.
    const lineBreak = process.stderr.isTTY ? '\n' : '';
    const hint = name === 'SIGINT' ? ' (press Ctrl-C again to quit immediately)' : '';
    const finishes = name === 'SIGINT' && canFinish();
    const action = finishes ? 'Finishing with what is done so far' : 'Stopping';
    process.stderr.write(`${lineBreak}${action}${hint} ...\n`);
    controller.abort(finishes ? FINISH : new Interruption(name));
  };
  for (const name of STOP_SIGNALS) process.on(name, onSignal);
  try {
    return await work(controller.signal);
  } catch (error) {
    if (controller.signal.aborted && isAbort(error))
      throw wasFinished(controller.signal) ? new Interruption('SIGINT') : controller.signal.reason;
    throw error;
  } finally {
    for (const name of STOP_SIGNALS) process.off(name, onSignal);
  }
}

/** Returns true if SIGINT ended the work of this signal early, with a partial result. */
export function wasFinished(signal: AbortSignal): boolean {
  return signal.aborted && signal.reason === FINISH;
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && ('code' in error ? error.code === 'ABORTED' : error.name === 'AbortError');
}
