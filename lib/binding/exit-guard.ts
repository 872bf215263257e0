import { isMainThread } from 'node:worker_threads';
import type { NativeAddon } from './types.js';

/**
 * Makes `process.exit` safe while the addon computes: without this, the destructors of the native libraries would run
 * next to its threads, which can crash the process. If calls are in progress, the process ends after the remaining
 * listeners of `exit`, without those destructors.
 */
export function guardExit(addon: Pick<NativeAddon, 'busy' | 'exit'>): void {
  // In a worker thread `exit` means the end of the thread, which the addon's own teardown handles.
  if (!isMainThread) return;
  const onExit = (code: number): void => {
    if (!addon.busy()) return;
    const listeners = process.listeners('exit');
    for (const listener of listeners.slice(listeners.indexOf(onExit) + 1)) listener.call(process, code);
    addon.exit(code);
  };
  process.on('exit', onExit);
}
