/** Errors with a stable `code`, and helpers for AbortSignals. */

/** Stable identifiers of errors, for programs to branch on. Messages are for people and may change between versions. */
export type ErrorCode =
  /** An option or argument is missing, of the wrong type or out of range. */
  | 'INVALID_OPTION'
  /** A file or folder does not exist or cannot be read. */
  | 'FILE_NOT_FOUND'
  /** A file could not be written. */
  | 'FILE_NOT_WRITTEN'
  /** A model file violates its format: truncated data, overlapping tensors, implausible sizes ... */
  | 'INVALID_FILE'
  /** A model file is well formed, but its family or variant is not supported. */
  | 'UNSUPPORTED_MODEL'
  /** A tensor that the model needs is missing from its files. */
  | 'MISSING_TENSOR'
  /** The shape of a tensor or an input differs from the shape that the model's config requires. */
  | 'SHAPE_MISMATCH'
  /** No model of that name is configured or cached. */
  | 'MODEL_NOT_FOUND'
  /**
   * A repository or file on the hub does not exist, or is gated or private and the request has no token with access to
   * it.
   */
  | 'ACCESS_DENIED'
  /** A server could not be reached, or kept failing after several retries. */
  | 'DOWNLOAD_FAILED'
  /** The checksum of a download differs from the one that its publisher states. */
  | 'CHECKSUM_MISMATCH'
  /** Another process uses the same data folder for its jobs; the message names the process. */
  | 'DATA_IN_USE'
  /** The queue has reached its maximum number of waiting jobs; `retryAfter` is the delay before the next attempt. */
  | 'QUEUE_FULL'
  /** The shared queue (Redis) does not respond, or the client packages for it are not installed. */
  | 'QUEUE_UNAVAILABLE'
  /** A LoRA file does not exist or cannot be read. */
  | 'ADAPTER_NOT_FOUND'
  /** A LoRA does not fit the model: none of its weights matches a weight of the model, or the shapes differ. */
  | 'ADAPTER_MISMATCH'
  /** The adapter file is of an unsupported type (DoRA, LoHa, LoKr ...). */
  | 'UNSUPPORTED_ADAPTER'
  /** An image cannot be decoded, or has more pixels than allowed. */
  | 'INVALID_IMAGE'
  /** A latent or an image contains NaN or infinite values. */
  | 'NOT_FINITE'
  /**
   * A model or an image needs more memory than is available. Thrown before the work begins; the message states both
   * sizes.
   */
  | 'DOES_NOT_FIT'
  /** An allocation failed during the work. */
  | 'OUT_OF_MEMORY'
  /** An AbortSignal cancelled the operation. */
  | 'ABORTED'
  /** The object was disposed before or during the call. */
  | 'DISPOSED'
  /** The native binary cannot be found or loaded on this machine. */
  | 'BINARY_NOT_FOUND'
  /** The requested backend is not compiled in or has no device. */
  | 'BACKEND_UNAVAILABLE'
  /** A defect in Safelight. Please report it. */
  | 'INTERNAL';

/** The error class of the whole API; `code` identifies the failure, `cause` is the underlying error if there is one. */
export class SafelightError extends Error {
  /** `AbortError` if the code is ABORTED, as for the platform's own APIs; otherwise `SafelightError`. */
  override readonly name: string;

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = code === 'ABORTED' ? 'AbortError' : 'SafelightError';
  }
}

/**
 * Returns the INVALID_OPTION error of a value check: `Expected an integer between 1 and 1000 for steps, received 0.`
 * @param expected a noun phrase, such as `an integer between 1 and 1000`
 * @param hint a clause that says what to do instead
 */
export function invalidOption(
  name: string,
  expected: string,
  received: unknown,
  hint?: string,
): SafelightError {
  const sentence = `Expected ${expected} for ${name}, received ${shown(received)}${hint ? `; ${hint}` : ''}`;
  return new SafelightError('INVALID_OPTION', /[.?!]$/.test(sentence) ? sentence : `${sentence}.`);
}

/** Checks a signal between native calls. @throws ABORTED if the signal is aborted */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw aborted(signal.reason);
}

/** Returns the ABORTED error with which cancelled operations reject; `cause` is the signal's reason. */
export function aborted(reason?: unknown): SafelightError {
  return new SafelightError('ABORTED', 'The operation was aborted by its signal', { cause: reason });
}

/** Returns true for the error of a cancelled operation. */
export function isAborted(error: unknown): boolean {
  return error instanceof SafelightError && error.code === 'ABORTED';
}

/** Returns a signal that is aborted as soon as one of two is; undefined if neither is given. */
export function combineSignals(
  a: AbortSignal | undefined,
  b: AbortSignal | undefined,
): AbortSignal | undefined {
  return a && b ? AbortSignal.any([a, b]) : (a ?? b);
}

/** Callbacks and the shared listener of each signal that `onAbort` observes. */
const callbacks = new WeakMap<
  AbortSignal,
  { readonly all: Set<() => void>; readonly listener: () => void }
>();

/**
 * Calls `callback` when the signal is aborted, immediately if it is aborted already. All calls for a signal share one
 * listener, which avoids MaxListenersExceededWarning and is removed together with the last callback.
 * @returns a function that removes the callback, to be called when the work ends; further calls have no effect
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  if (signal.aborted) {
    callback();
    return () => undefined;
  }
  // A new function for each call: the same callback may be registered twice.
  const registered = () => callback();
  const entry = callbacks.get(signal) ?? listenTo(signal);
  entry.all.add(registered);
  return () => {
    if (!entry.all.delete(registered) || entry.all.size > 0) return;
    callbacks.delete(signal);
    signal.removeEventListener('abort', entry.listener);
  };
}

function listenTo(signal: AbortSignal) {
  const all = new Set<() => void>();
  const listener = () => {
    callbacks.delete(signal);
    const waiting = [...all];
    all.clear();
    for (const callback of waiting) callback();
  };
  signal.addEventListener('abort', listener, { once: true });
  const entry = { all, listener };
  callbacks.set(signal, entry);
  return entry;
}

/**
 * Settles with `promise`, or rejects as soon as the signal is aborted without waiting for the promise. Removes its
 * listener.
 * @throws ABORTED
 */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise<T>((resolve, reject) => {
    const stop = onAbort(signal, () => reject(aborted(signal.reason)));
    promise.then(resolve, reject).finally(stop);
  });
}

/** Waits for the given number of milliseconds. @throws ABORTED */
export async function pauseFor(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const elapsed = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  try {
    await unlessAborted(elapsed, signal);
  } finally {
    clearTimeout(timer);
  }
}

/** Returns the first line of an error's message: those of dynamic linkers and modules have several. */
export function firstLine(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
}

/** Renders a value for a message: strings are cut to 60 characters, objects are shown by class. */
function shown(value: unknown): string {
  if (typeof value === 'string')
    return value.length > 60 ? `${JSON.stringify(value.slice(0, 60))}...` : JSON.stringify(value);
  if (value === null || value === undefined || typeof value === 'number' || typeof value === 'boolean')
    return String(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return typeof value === 'object' ? classOf(value) : `a ${typeof value}`;
}

/** Returns the class name of an object, cut to 60 characters; tolerates proxies and getters that throw. */
function classOf(value: object): string {
  try {
    const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
    return typeof name === 'string' && name !== '' && name !== 'Object' ? name.slice(0, 60) : 'an object';
  } catch {
    return 'an object';
  }
}
