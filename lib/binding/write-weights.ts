import { addon } from './binding.js';
import { settle } from './task.js';
import type { WriteRequest } from './types.js';

export interface WriteOptions {
  /** Cancels the writing within about 10 ms; data already written stays in the file. */
  readonly signal?: AbortSignal | undefined;
  /** Receives the bytes written so far, and the total. An error that it throws cancels the writing and is rethrown. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Converts weights and writes them at their offsets into a file, in separate threads.
 *
 * @throws FILE_NOT_WRITTEN, FILE_NOT_FOUND, INVALID_FILE, SHAPE_MISMATCH, INVALID_OPTION (plan), ABORTED
 */
export async function writeWeights(
  request: WriteRequest,
  { signal, onProgress }: WriteOptions = {},
): Promise<void> {
  await settle(() => addon().writeWeights(request, onProgress), signal);
}
