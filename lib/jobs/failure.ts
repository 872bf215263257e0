import { SafelightError } from '../errors.js';
import type { JobError } from './types.js';

/**
 * Converts the error that ended a job into its stored form; the code of anything but a `SafelightError` is
 * `INTERNAL`.
 */
export function failureOf(error: unknown): JobError {
  if (error instanceof SafelightError) return { code: error.code, message: error.message };
  return { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error) };
}
