import { type ErrorCode, SafelightError, throwIfAborted, unlessAborted } from '../errors.js';
import type { NativeTask } from './types.js';

const NATIVE_CODES: ReadonlySet<string> = new Set<ErrorCode>([
  'INVALID_OPTION',
  'FILE_NOT_FOUND',
  'FILE_NOT_WRITTEN',
  'INVALID_FILE',
  'UNSUPPORTED_MODEL',
  'MISSING_TENSOR',
  'SHAPE_MISMATCH',
  'OUT_OF_MEMORY',
  'ABORTED',
  'DISPOSED',
  'BACKEND_UNAVAILABLE',
  'ADAPTER_MISMATCH',
  'INTERNAL',
]);

/** Calls into the addon and converts its errors to SafelightErrors with a JavaScript stack. */
export function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw typed(error);
  }
}

/**
 * Starts a call and waits for it. An aborted signal cancels the call and rejects immediately, since the call may be
 * queued behind a run of several seconds, and freeing gigabytes takes time too.
 * @param discard receives a result that arrives after the rejection
 */
export async function settle<T>(
  start: () => NativeTask<T>,
  signal: AbortSignal | undefined,
  discard: (late: T) => void = () => undefined,
): Promise<T> {
  throwIfAborted(signal);
  const { promise, cancel } = guarded(start);
  const result = promise.catch((error: unknown) => {
    throw typed(error);
  });
  if (signal === undefined) return result;
  try {
    return await unlessAborted(result, signal);
  } catch (error) {
    if (signal.aborted) {
      cancel();
      result.then(discard, () => undefined);
    }
    throw error;
  }
}

function typed(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof SafelightError) return error;
  const { code } = error as { code?: unknown };
  // Errors thrown by the caller's callbacks are returned unchanged.
  if (typeof code !== 'string' || !NATIVE_CODES.has(code)) return error;
  return new SafelightError(code as ErrorCode, error.message);
}
