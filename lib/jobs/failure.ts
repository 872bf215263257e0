import { SafelightError } from '../errors.js';
import type { JobError } from './types.js';

/** What a job says of the error that ended it. */
export function said(error: unknown): JobError {
  if (error instanceof SafelightError) return { code: error.code, message: error.message };
  return { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error) };
}
