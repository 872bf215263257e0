import { randomBytes } from 'node:crypto';

const RANDOM_BITS = 72;
let last = 0n;

/**
 * Returns an id that sorts by the time it was made: 48 bits of milliseconds and 72 random ones, in hexadecimal. Ids of one millisecond sort too, in one
 * process.
 */
export function newId(): string {
  const fresh = (BigInt(Date.now()) << BigInt(RANDOM_BITS)) + random(RANDOM_BITS / 8);
  last = fresh > last ? fresh : last + 1n + random(4);
  return last.toString(16).padStart(30, '0');
}

function random(bytes: number): bigint {
  return BigInt(`0x${randomBytes(bytes).toString('hex')}`);
}

/** True for text that can be the id of a job. Nothing else from outside is used as a path. */
export function isId(text: string): boolean {
  return /^[0-9a-f]{30}$/.test(text);
}
