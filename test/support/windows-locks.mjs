/**
 * Runs in Node.js for Windows (test/package/windows.test.ts): one process holds the lock of a data folder and a plain lock, the
 * other is refused, ends the first and acquires them. Writes what happened as JSON, because wine has no pipes.
 *
 *   node windows-locks.mjs COMPILED FOLDER [hold]
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';

const [compiled = '', folder = '', hold] = process.argv.slice(2);
/** @param {string} name */
const load = (name) => import(pathToFileURL(join(compiled, name)).href);
const { DataLock } = await load('jobs/store/data-lock.js');
const { tryLock } = await load('binding/file-lock.js');
const plain = join(folder, 'plain.lock');
const held = join(folder, 'held');

if (hold) {
  const locks = [await DataLock.acquire(folder), tryLock(plain)];
  writeFileSync(held, String(process.pid));
  await sleep(300_000);
  console.error(locks); // keeps them from the garbage collector
}
const child = spawn(process.execPath, [fileURLToPath(import.meta.url), compiled, folder, 'hold'], {
  stdio: 'ignore',
});
while (!existsSync(held)) await sleep(50);
const refused = await DataLock.acquire(folder).then(
  () => ({ code: 'acquired' }),
  (/** @type {import('../../lib/errors.js').SafelightError} */ { code, message }) => ({ code, message }),
);
const plainWhileHeld = tryLock(plain);
const ended = new Promise((resolve) => child.once('exit', resolve));
child.kill(); // TerminateProcess: nothing of the process runs after it
await ended;
const after = await DataLock.acquire(folder);
await after.close();
const again = tryLock(plain);
const twice = tryLock(plain);
again.release();
const released = tryLock(plain);
const holder = Number(readFileSync(held, 'utf8'));
writeFileSync(
  join(folder, 'result.json'),
  JSON.stringify({ holder, refused, plainWhileHeld, twice, again: typeof again, released: typeof released }),
);
