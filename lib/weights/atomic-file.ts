/** A large file written whole or not at all: beside its place first, and renamed once everything is on the disk. */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { SafelightError } from '../errors.js';

/**
 * @param fill writes to the temporary file
 * @throws FILE_NOT_WRITTEN, or what `fill` throws; then nothing is left behind
 */
export async function writeThrough(
  path: string,
  fill: (handle: FileHandle, temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = join(
    dirname(path),
    `.${basename(path).slice(0, 100)}.${randomBytes(6).toString('hex')}.tmp`,
  );
  // A process that is told to end at once has no time for the rest.
  const forget = (): void => rmSync(temporary, { force: true });
  process.once('exit', forget);
  try {
    const handle = await open(temporary, 'wx');
    try {
      await fill(handle, temporary);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    // What `fill` throws of its own, or of its caller's, passes as it is.
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    throw new SafelightError('FILE_NOT_WRITTEN', `Cannot write '${path}': ${error.message}`, {
      cause: error,
    });
  } finally {
    process.off('exit', forget);
    await rm(temporary, { force: true });
  }
}
