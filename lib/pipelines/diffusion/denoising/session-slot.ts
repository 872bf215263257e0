import type { NetworkSession } from '../../../sampling/network.js';

/**
 * Owns the session of the current pass. The previous session is disposed only after the next one is prepared, so that
 * resources shared by both, such as cross-attention keys and values, are kept.
 */
export class SessionSlot implements Disposable {
  private current: NetworkSession | undefined;

  replace(session: NetworkSession): NetworkSession {
    this.current?.[Symbol.dispose]();
    this.current = session;
    return session;
  }

  [Symbol.dispose](): void {
    this.current?.[Symbol.dispose]();
    this.current = undefined;
  }
}
