/** Whether something fits into memory, asked before it is begun. */

import { type ChosenBackend, freeMemory } from '../binding/backends.js';
import type { WeightPlan } from '../binding/types.js';
import { entryBytes, staysInFile } from '../checkpoint/weights/plan-bytes.js';
import { SafelightError } from '../errors.js';

/** What takes memory, for the sentence that says so. */
export interface Need {
  /** Such as `U-Net`. */
  readonly label: string;
  readonly bytes: number;
}

/** Advice for weights. */
export const TAKE_LESS = 'take a smaller storage (q8_0, q4_K), or free some memory';

/**
 * Bytes that a device can give without swapping: of the CPU under the limits of its container (control groups of both versions),
 * with the pages of files that the system would drop. Undefined where the system does not say.
 */
export function availableMemory(where: Pick<ChosenBackend, 'backend' | 'device'>): number | undefined {
  return freeMemory(where);
}

/** @param mapped whether weights stay in their files where they can. @returns bytes of memory that the plan's weights take */
export function weightBytes({ entries }: WeightPlan, mapped: boolean): number {
  let bytes = 0;
  for (const entry of entries) if (!(mapped && staysInFile(entry))) bytes += entryBytes(entry);
  return bytes;
}

/**
 * @param what begins the sentence, such as `The model`
 * @param available bytes, or undefined where nobody knows: then everything fits
 * @param advice what would need less
 * @throws DOES_NOT_FIT with the numbers
 */
export function checkFit(
  what: string,
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
    `${what} needs ${shownBytes(bytes)} of memory${parts.length > 1 ? ` (${list})` : ''}, but only ${shownBytes(available)} are available (${bytes} and ${available} bytes); ${advice}`,
  );
}

/** `1.7 GB` */
export function shownBytes(bytes: number): string {
  const [unit, name] = bytes >= 1e9 ? [1e9, 'GB'] : bytes >= 1e6 ? [1e6, 'MB'] : [1e3, 'kB'];
  return `${(bytes / unit).toFixed(1)} ${name}`;
}
