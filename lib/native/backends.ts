import { invalidOption, SafelightError } from '../errors.js';
import { addon } from './binding.js';
import { guarded } from './task.js';
import type { BackendInfo, BackendName } from './types.js';

/** Every device that this build of the binary can compute on; the CPU is always among them. */
export function backends(): BackendInfo[] {
  return guarded(() => addon().backends());
}

/** Cores of this process, two hardware threads counted once: the default number of threads. */
export function physicalCores(): number {
  return guarded(() => addon().physicalCores());
}

/**
 * The backend to use: for `auto` a GPU if the binary has one with a device, else the CPU.
 *
 * @throws SafelightError BACKEND_UNAVAILABLE
 */
export function chooseBackend(
  wanted: BackendName | 'auto',
  found: readonly BackendInfo[] = backends(),
): BackendName {
  const names = found.map(({ name }) => name);
  if (wanted === 'auto') return names.find((name) => name !== 'cpu') ?? 'cpu';
  if (names.includes(wanted)) return wanted;
  if (typeof wanted !== 'string')
    throw invalidOption('backend', `auto or one of ${names.join(', ')}`, wanted);
  throw new SafelightError(
    'BACKEND_UNAVAILABLE',
    `The backend ${wanted} is not compiled in or has no device (there is ${names.join(', ')}): run \`npx safelight build --${wanted}\` to compile it`,
  );
}
