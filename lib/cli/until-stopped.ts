/** What lasts until somebody stops it. */
import { EXIT } from './failure.js';

/** The first signal lets what runs end, the second ends the process at once. */
export function untilStopped(close: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    let closing = false;
    const stop = (name: NodeJS.Signals): void => {
      if (closing) process.exit(name === 'SIGTERM' ? EXIT.terminated : EXIT.interrupted);
      closing = true;
      process.stderr.write('Stopping once the running job has ended (again: at once) ...\n');
      close().then(resolve, reject);
    };
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, stop);
  });
}
