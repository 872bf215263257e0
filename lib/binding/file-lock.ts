import { addon } from './binding.js';
import type { NativeFileLock } from './types.js';

/**
 * Locks a file exclusively and without waiting, creating it if needed: with flock(2), and on Windows with a lock of one
 * byte. Python's `filelock` uses the same locks. `release`, garbage collection of the lock and the end of the process
 * release it.
 *
 * @param byte position of the byte that Windows locks and that other handles then cannot read or write; 0, the default,
 *   is that of Python's `filelock`
 * @returns `unsupported` if the file system has no locks
 * @throws FILE_NOT_WRITTEN if the file cannot be opened
 */
export function tryLock(path: string, byte = 0): NativeFileLock | 'busy' | 'unsupported' {
  return addon().tryLock(path, byte);
}
