/** Checks before loading or running that enough memory is available. */

import { type ChosenBackend, freeMemory } from '../binding/backends.js';
import type { Products, WeightPlan, WeightRequirement } from '../binding/types.js';
import { entryBytes, staysInFile } from '../checkpoint/weights/plan-bytes.js';
import { SafelightError } from '../errors.js';
import { elementCount } from '../tensor/shape.js';

/** A memory requirement, as named in messages. */
export interface Need {
  /** Such as `U-Net`. */
  readonly label: string;
  readonly bytes: number;
}

/** Advice of `checkFit` for weights. */
export const REDUCE_WEIGHTS = 'use a smaller storage (q8_0, q4_K) or free memory';

/**
 * Returns the bytes of memory that a device can allocate without swapping, or undefined if the system does not report
 * them. For the CPU this includes the page cache that the system can reclaim and respects container limits (control
 * groups v1 and v2).
 */
export function availableMemory(where: Pick<ChosenBackend, 'backend' | 'device'>): number | undefined {
  return freeMemory(where);
}

/**
 * Returns the bytes of memory that the weights of a plan need.
 * @param mapped true if weights are memory-mapped where their storage allows it
 */
export function weightBytes({ entries }: WeightPlan, mapped: boolean): number {
  let bytes = 0;
  for (const entry of entries) if (!(mapped && staysInFile(entry))) bytes += entryBytes(entry);
  return bytes;
}

/** Returns the bytes of a module's weights in the layout of products in bf16 or int8. */
export function packedWeightBytes(required: readonly WeightRequirement[], products: Products): number {
  let bytes = 0;
  for (const { role, shape } of required) {
    if (role !== 'matrix' && role !== 'conv') continue;
    // In int8, each block of 32 numbers has two of 16 bits besides.
    bytes += elementCount(shape) * (role === 'matrix' && products === 'int8' ? 36 / 32 : 2);
  }
  return bytes;
}

/**
 * Checks that the needs fit in the available memory.
 * @param subject of the message, such as `The model`
 * @param available bytes, or undefined if unknown, which passes
 * @param advice clause of the message on how to need less
 * @throws DOES_NOT_FIT with the numbers
 */
export function checkFit(
  subject: string,
  needs: readonly Need[],
  available: number | undefined,
  advice: string,
): void {
  const bytes = needs.reduce((sum, need) => sum + need.bytes, 0);
  if (available === undefined || bytes <= available) return;
  const parts = needs.filter((need) => need.bytes > 0);
  const list = parts.map((need) => `${need.label} ${shownBytes(need.bytes)}`).join(', ');
  throw new SafelightError(
    'DOES_NOT_FIT',
    `${subject} needs ${shownBytes(bytes)} of memory${parts.length > 1 ? ` (${list})` : ''}, but only ${shownBytes(available)} are available (${bytes} and ${available} bytes); ${advice}`,
  );
}

/** Formats bytes in decimal units with one digit, such as `1.7 GB`. */
export function shownBytes(bytes: number): string {
  const [unit, name] = bytes >= 1e9 ? [1e9, 'GB'] : bytes >= 1e6 ? [1e6, 'MB'] : [1e3, 'kB'];
  return `${(bytes / unit).toFixed(1)} ${name}`;
}
