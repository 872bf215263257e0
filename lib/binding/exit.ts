import { loadedAddon } from './binding.js';

/**
 * Ends the process although native threads may still compute. `process.exit` alone would run the destructors of
 * the native libraries next to those threads, which can crash the process; listeners of `exit` are called as usual.
 */
export function exitImmediately(code: number): never {
  process.once('exit', () => loadedAddon()?.exit(code));
  process.exit(code);
}
