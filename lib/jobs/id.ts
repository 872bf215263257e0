import { randomBytes } from 'node:crypto';

const RANDOM_BITS = 72;
let last = 0n;

/**
 * Returns a new job id: 48 bits of Unix time in milliseconds followed by 72 random bits, as 30 hexadecimal
 * digits. Ids sort by creation time; within one process, ids of the same millisecond sort in creation order
 * too.
 */
export function newId(): string {
  const fresh = (BigInt(Date.now()) << BigInt(RANDOM_BITS)) + random(RANDOM_BITS / 8);
  last = fresh > last ? fresh : last + 1n + random(4);
  return last.toString(16).padStart(30, '0');
}

function random(bytes: number): bigint {
  return BigInt(`0x${randomBytes(bytes).toString('hex')}`);
}

/**
 * Returns true for text in the format of a job id. Call it before any external text becomes part of a file
 * path.
 */
export function isId(text: string): boolean {
  return /^[0-9a-f]{30}$/.test(text);
}
