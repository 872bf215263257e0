import { addon } from './binding.js';

/**
 * flock(2) of a file opened by Node.js, exclusive, without waiting. The lock is the open file's: closing it, or the end of the process however
 * it ends, lets go. Python's `filelock` takes the same lock.
 *
 * @param descriptor of `FileHandle.fd`
 */
export function tryLock(descriptor: number): 'locked' | 'busy' | 'unsupported' {
  return addon().tryLock(descriptor);
}
