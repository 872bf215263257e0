/**
 * Renames and removes files. On Windows a file cannot be renamed, replaced or removed while another program has it open, and
 * virus scanners and search indexers open every new file for a moment; such calls are repeated for 2 s.
 */
import type { RmOptions } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { SafelightError } from '../errors.js';
import { isCode } from './write-stream.js';

/** Milliseconds before the first repetition; each further one waits twice as long. */
const FIRST_PAUSE = 10;
/** Milliseconds after which a call is not repeated any more. */
const PATIENCE = 2000;

/**
 * Renames a file, replacing an existing one.
 * @throws FILE_NOT_WRITTEN if another program keeps one of the files open (Windows), the system's error
 */
export function renameFile(from: string, to: string): Promise<void> {
  return whileInUse(to, () => rename(from, to));
}

/**
 * Removes a file, or with `recursive` a folder. A missing one is no error with `force`.
 * @throws FILE_NOT_WRITTEN if another program keeps the file open (Windows), the system's error
 */
export function removeFile(path: string, options: RmOptions = {}): Promise<void> {
  return whileInUse(path, () => rm(path, options));
}

/** Repeats `work` while Windows refuses it because a file is in use. On other systems these errors do not pass. */
async function whileInUse(path: string, work: () => Promise<void>): Promise<void> {
  if (process.platform !== 'win32') return work();
  for (let pause = FIRST_PAUSE, waited = 0; ; pause *= 2) {
    try {
      return await work();
    } catch (error) {
      if (!isCode(error, 'EPERM', 'EACCES', 'EBUSY', 'ENOTEMPTY')) throw error;
      const left = PATIENCE - waited;
      if (left <= 0) throw inUse(path, error as NodeJS.ErrnoException);
      const next = Math.min(pause, left);
      await sleep(next);
      waited += next;
    }
  }
}

function inUse(path: string, error: NodeJS.ErrnoException): SafelightError {
  return new SafelightError(
    'FILE_NOT_WRITTEN',
    `Cannot replace or remove '${path}': Windows refused it for ${PATIENCE / 1000} s (${error.code}); close the programs that use it, exclude its folder from virus scans, and check its permissions`,
    { cause: error },
  );
}
