/** Runs a long-lived command until a signal asks it to stop. */
import { EXIT } from './failure.js';
import { STOP_SIGNALS } from './stop-signals.js';

const STOPPING = 'Stopping when the running job has ended (press Ctrl-C again to quit immediately) ...';

/**
 * Resolves after `close`, which the first signal calls; the second signal ends the process immediately. @param
 * say prints the message about stopping; default plain text on stderr
 */
export function untilStopped(
  close: () => Promise<void>,
  say: (line: string) => void = (line) => void process.stderr.write(`${line}\n`),
): Promise<void> {
  return new Promise((resolve, reject) => {
    let closing = false;
    const stop = (name: NodeJS.Signals): void => {
      if (closing) process.exit(name === 'SIGINT' ? EXIT.interrupted : EXIT.terminated);
      closing = true;
      say(STOPPING);
      close().then(resolve, reject);
    };
    for (const name of STOP_SIGNALS) process.on(name, stop);
  });
}
