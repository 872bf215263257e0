import { addon } from './binding.js';

/**
 * Locks a file opened by Node.js with flock(2), exclusively and without waiting. The lock belongs to the open file:
 * closing it, or the end of the process, releases it. Python's `filelock` uses the same lock.
 *
 * @param descriptor `FileHandle.fd`
 */
export function tryLock(descriptor: number): 'locked' | 'busy' | 'unsupported' {
  return addon().tryLock(descriptor);
}
