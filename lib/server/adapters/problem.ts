import { SafelightError } from '../../errors.js';

/** Returns the reason why a file cannot be used, with its path relative to its folder instead of the absolute one. */
export function problemOf(error: unknown, path: string, file: string): string {
  if (error instanceof SafelightError) return error.message.replaceAll(path, () => file);
  return `${file} cannot be read`;
}
