import { aborted, type ErrorCode, SafelightError, throwIfAborted } from '../errors.js';
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
  'INTERNAL',
]);

/** Calls into the addon; what it throws becomes a SafelightError with a JavaScript stack. */
export function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw typed(error, undefined);
  }
}

/** Starts a call and waits for it; the signal cancels it, and has no listener of ours afterwards. */
export async function settle<T>(start: () => NativeTask<T>, signal: AbortSignal | undefined): Promise<T> {
  throwIfAborted(signal);
  const task = guarded(start);
  const cancel = () => task.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    return await task.promise;
  } catch (error) {
    throw typed(error, signal);
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}

function typed(error: unknown, signal: AbortSignal | undefined): unknown {
  if (!(error instanceof Error) || error instanceof SafelightError) return error;
  const { code } = error as { code?: unknown };
  // What a callback of the caller's threw passes as it is.
  if (typeof code !== 'string' || !NATIVE_CODES.has(code)) return error;
  if (code === 'ABORTED') return aborted(signal?.reason);
  return new SafelightError(code as ErrorCode, error.message);
}
