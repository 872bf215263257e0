/** Handles Ctrl-C: the first aborts the work between two graph nodes, the second ends the process immediately. */
import { EXIT, Interruption } from './failure.js';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * Runs `work` with a signal that is aborted by the first SIGINT or SIGTERM. Rejects with `Interruption` if that
 * ended the work; work that has already finished keeps its result.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(name === 'SIGTERM' ? EXIT.terminated : EXIT.interrupted);
    // Starts a new line after the ^C that the terminal prints.
    const lineBreak = process.stderr.isTTY ? '\n' : '';
    const hint = name === 'SIGINT' ? ' (press Ctrl-C again to quit immediately)' : '';
    process.stderr.write(`${lineBreak}Stopping${hint} ...\n`);
    controller.abort(new Interruption(name));
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  try {
    return await work(controller.signal);
  } catch (error) {
    if (controller.signal.aborted && isAbort(error)) throw controller.signal.reason;
    throw error;
  } finally {
    for (const name of SIGNALS) process.off(name, onSignal);
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && ('code' in error ? error.code === 'ABORTED' : error.name === 'AbortError');
}
