// @ts-check
// Imports compiled samples one after the other: node run-modules.mjs FILE..., in a process started by fork(). Sends { file, error } for each.
import { pathToFileURL } from 'node:url';

for (const file of process.argv.slice(2)) {
  /** @type {string | undefined} */
  let error;
  try {
    await import(pathToFileURL(file).href);
  } catch (thrown) {
    error = thrown instanceof Error ? `${thrown.stack}` : String(thrown);
  }
  process.send?.({ file, error });
}
// A sample may leave a server or a pipeline open.
process.exit(0);
