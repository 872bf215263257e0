import { addon } from './binding.js';
import { settle } from './task.js';
import type { WriteRequest } from './types.js';

export interface WriteOptions {
  /** Stops the writing within some 10 ms; what was written stays in the file. */
  readonly signal?: AbortSignal | undefined;
  /** Bytes written so far, and of all. What it throws stops the writing and is rethrown. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Converts weights and writes them to their places in a file, on threads of its own.
 *
 * @throws SafelightError FILE_NOT_WRITTEN, FILE_NOT_FOUND, INVALID_FILE, SHAPE_MISMATCH, INVALID_OPTION (plan), ABORTED
 */
export async function writeWeights(
  request: WriteRequest,
  { signal, onProgress }: WriteOptions = {},
): Promise<void> {
  await settle(() => addon().writeWeights(request, onProgress), signal);
}
