/** Abort reason that ends a generation early with the images that exist, instead of rejecting it. */
import { onAbort } from '../errors.js';

/** Reason of `controller.abort('finish')`. */
export const FINISH = 'finish';

/** Signals of a call that may be aborted for two purposes. */
export interface CallSignals {
  /** Rejects the call. */
  readonly signal: AbortSignal | undefined;
  /** Ends the call with the images that exist. */
  readonly finish: AbortSignal | undefined;
}

/**
 * Splits the signal of a call by its reason: `'finish'` has the effect of the option `finish`, every other reason that
 * of `signal`. Disposing the result removes the listeners.
 */
export function splitSignal({ signal, finish }: CallSignals): CallSignals & Disposable {
  if (signal === undefined) return { signal, finish, [Symbol.dispose]: () => undefined };
  const stopping = new AbortController();
  const finishing = new AbortController();
  const stops = [
    onAbort(signal, () => (signal.reason === FINISH ? finishing : stopping).abort(signal.reason)),
    ...(finish ? [onAbort(finish, () => finishing.abort(finish.reason))] : []),
  ];
  return {
    signal: stopping.signal,
    finish: finishing.signal,
    [Symbol.dispose]: () => {
      for (const stop of stops) stop();
    },
  };
}
