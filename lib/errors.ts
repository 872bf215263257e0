/**
 * Every failure Safelight reports: a `code` to branch on and one sentence that says what to do.
 *
 * Codes are stable; messages are for people and may change.
 */
export type ErrorCode =
  /** An option or argument is missing, of the wrong type or out of range. */
  | 'INVALID_OPTION'
  /** A file or folder does not exist or cannot be read. */
  | 'FILE_NOT_FOUND'
  /** A file could not be written. */
  | 'FILE_NOT_WRITTEN'
  /** A model file breaks a rule of its format (truncated, overlapping, absurd sizes ...). */
  | 'INVALID_FILE'
  /** A model file is well formed but not of a family or form that Safelight runs. */
  | 'UNSUPPORTED_MODEL'
  /** A tensor that the model needs is not in its files. */
  | 'MISSING_TENSOR'
  /** A tensor or an input has another shape than the model's config asks for. */
  | 'SHAPE_MISMATCH'
  /** No model of that name is configured or in the cache. */
  | 'MODEL_NOT_FOUND'
  /** A repository or file on the hub does not exist, or not for who asks: gated, private, or without a token. */
  | 'ACCESS_DENIED'
  /** A server could not be reached, or went on failing after several attempts. */
  | 'DOWNLOAD_FAILED'
  /** What was downloaded is not what its publisher's checksum promises. */
  | 'CHECKSUM_MISMATCH'
  /** Another process keeps its jobs in the same data folder; the message names it. */
  | 'DATA_IN_USE'
  /** As many jobs wait as may wait; `retryAfter` says when to come again. */
  | 'QUEUE_FULL'
  /** The shared queue (Redis) does not answer, or the packages that speak to it are not installed. */
  | 'QUEUE_UNAVAILABLE'
  /** The file of a LoRA does not exist or cannot be read. */
  | 'ADAPTER_NOT_FOUND'
  /** A LoRA does not fit the model: none of its weights has a place there, or one has another shape. */
  | 'ADAPTER_MISMATCH'
  /** An adapter file of a form that Safelight does not apply (DoRA, LoHa, LoKr ...). */
  | 'UNSUPPORTED_ADAPTER'
  /** A picture cannot be decoded, or its header promises more pixels than are allowed. */
  | 'INVALID_IMAGE'
  /** A latent or a picture stopped being finite. */
  | 'NOT_FINITE'
  /** A model or a picture needs more memory than there is: said before the work begins, with the numbers. */
  | 'DOES_NOT_FIT'
  /** Memory ran out, or a run asked for more than there is. */
  | 'OUT_OF_MEMORY'
  /** Stopped by an AbortSignal. */
  | 'ABORTED'
  /** The object was disposed, or is disposed while it works. */
  | 'DISPOSED'
  /** The native binary cannot be found or loaded on this machine. */
  | 'BINARY_NOT_FOUND'
  /** The backend asked for is not compiled in or has no device. */
  | 'BACKEND_UNAVAILABLE'
  /** A defect in Safelight: please report it. */
  | 'INTERNAL';

export class SafelightError extends Error {
  /** `AbortError` where the code is ABORTED, as everywhere on the platform; else `SafelightError`. */
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
 * `Expected integer between 1 and 10 for steps but received 0 of type number` (the shape of sharp's messages).
 * @param hint what to do instead, as a clause
 */
export function invalidOption(
  name: string,
  expected: string,
  received: unknown,
  hint?: string,
): SafelightError {
  return new SafelightError(
    'INVALID_OPTION',
    `Expected ${expected} for ${name} but received ${shown(received)} of type ${typeof received}${hint ? `; ${hint}` : ''}`,
  );
}

/** Throws the typed error of an aborted signal; for loops in TypeScript between native calls. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw aborted(signal.reason);
}

/** The error every cancelled operation rejects with; `cause` is the signal's reason. */
export function aborted(reason?: unknown): SafelightError {
  return new SafelightError('ABORTED', 'The operation was aborted by its signal', { cause: reason });
}

/** Tells the error of a cancelled operation from others. */
export function isAborted(error: unknown): boolean {
  return error instanceof SafelightError && error.code === 'ABORTED';
}

/** A signal that is aborted with the first of two; undefined where there is none. */
export function eitherOf(a: AbortSignal | undefined, b: AbortSignal | undefined): AbortSignal | undefined {
  return a && b ? AbortSignal.any([a, b]) : (a ?? b);
}

/** Callbacks of each signal that is listened to. */
const callbacks = new WeakMap<
  AbortSignal,
  { readonly all: Set<() => void>; readonly listener: () => void }
>();

/**
 * Calls `callback` when the signal is aborted, at once if it is aborted already. However many calls share a signal, it has one listener,
 * so that Node.js does not warn of a leak (MaxListenersExceededWarning), and none once all of them have ended.
 * @returns a function that stops listening, to be called when the work ends; safe to call again
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  if (signal.aborted) {
    callback();
    return () => undefined;
  }
  // The same function may listen twice.
  const own = () => callback();
  const entry = callbacks.get(signal) ?? listenTo(signal);
  entry.all.add(own);
  return () => {
    if (!entry.all.delete(own) || entry.all.size > 0) return;
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

/** Waits for a promise until the signal is aborted; then rejects at once, whatever becomes of the promise. Leaves no listener. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise<T>((resolve, reject) => {
    const stop = onAbort(signal, () => reject(aborted(signal.reason)));
    promise.then(resolve, reject).finally(stop);
  });
}

/** Waits so many milliseconds. @throws ABORTED */
export async function pauseFor(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  try {
    await unlessAborted(passed, signal);
  } finally {
    clearTimeout(timer);
  }
}

function shown(value: unknown): string {
  if (typeof value === 'string')
    return value.length > 60 ? `${JSON.stringify(value.slice(0, 60))}...` : JSON.stringify(value);
  if (value === null || value === undefined || typeof value === 'number' || typeof value === 'boolean')
    return String(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return typeof value === 'object' ? classOf(value) : `a ${typeof value}`;
}

/** The class of an object; without trust in what the object itself says. */
function classOf(value: object): string {
  try {
    const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
    return typeof name === 'string' && name !== '' && name !== 'Object' ? name.slice(0, 60) : 'an object';
  } catch {
    return 'an object';
  }
}
