import type { NetworkSession } from '../../../sampling/network.js';

/**
 * The session of the pass under way. The one before is disposed of once the next is prepared, so that what both use, such as
 * cross-attention keys and values of the same prompts, is kept.
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
