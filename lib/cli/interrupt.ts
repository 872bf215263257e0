/** Ctrl-C: the first stops the work cleanly between two nodes of the graph, the second ends the process at once. */
import { EXIT, Interruption } from './failure.js';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * Runs `work` with a signal that the first SIGINT or SIGTERM aborts. Rejects with `Interruption` if that was what ended it; work
 * that had already finished keeps its result.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(name === 'SIGTERM' ? EXIT.terminated : EXIT.interrupted);
    // After the terminal's own ^C, on a line of its own.
    const lineBreak = process.stderr.isTTY ? '\n' : '';
    const hint = name === 'SIGINT' ? ' (Ctrl-C again ends at once)' : '';
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
