import { SafelightError } from '../errors.js';
import type { JobError } from './types.js';

/** Describes the error that ended a job. */
export function failureOf(error: unknown): JobError {
  if (error instanceof SafelightError) return { code: error.code, message: error.message };
  return { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error) };
}
