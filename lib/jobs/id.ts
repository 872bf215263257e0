import { randomBytes } from 'node:crypto';

/** A name that sorts by when it was made: 48 bits of milliseconds and 72 random ones, in hexadecimal. */
export function newId(now = Date.now()): string {
  return now.toString(16).padStart(12, '0') + randomBytes(9).toString('hex');
}

/** Whether this can be a job's id: what comes from outside is never used as a path otherwise. */
export function isId(text: string): boolean {
  return /^[0-9a-f]{30}$/.test(text);
}
