// @ts-check
// Runs the command lines that its parent sends, one after the other, so that modules are imported only once.
import { run } from '../../.build/lib/cli/program.js';

for (const stream of [process.stdout, process.stderr]) stream.setMaxListeners(0);

/** @param {{ args: string[], cwd: string }} request */
async function answer({ args, cwd }) {
  process.chdir(cwd);
  const written = { stdout: '', stderr: '' };
  for (const name of /** @type {const} */ (['stdout', 'stderr'])) {
    Object.assign(process[name], {
      write: (/** @type {string | Uint8Array} */ text, /** @type {unknown[]} */ ...rest) => {
        written[name] += typeof text === 'string' ? text : Buffer.from(text).toString();
        const callback = rest.at(-1);
        if (typeof callback === 'function') callback();
        return true;
      },
    });
  }
  const code = await run(args);
  process.send?.({ code, ...written });
}

/** @type {Promise<void>} */
let last = Promise.resolve();
process.on('message', (/** @type {{ args: string[], cwd: string }} */ request) => {
  last = last.then(() => answer(request));
});
