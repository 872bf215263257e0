/** What lasts until somebody stops it. */
import { EXIT } from './failure.js';

const STOPPING = 'Stopping once the running job has ended (again: at once) ...';

/**
 * The first signal lets what runs end, the second ends the process at once.
 * @param say takes the one line about it; default stderr as plain text
 */
export function untilStopped(
  close: () => Promise<void>,
  say: (line: string) => void = (line) => void process.stderr.write(`${line}\n`),
): Promise<void> {
  return new Promise((resolve, reject) => {
    let closing = false;
    const stop = (name: NodeJS.Signals): void => {
      if (closing) process.exit(name === 'SIGTERM' ? EXIT.terminated : EXIT.interrupted);
      closing = true;
      say(STOPPING);
      close().then(resolve, reject);
    };
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, stop);
  });
}
