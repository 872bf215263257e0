/**
 * Readers of changes of all jobs. Each receives only the newest state of every job that changed since its last
 * read.
 */
import type { JobChange } from '../types.js';

interface Watcher {
  readonly pending: Map<string, JobChange>;
  wake: () => void;
}

export class Watchers {
  private readonly all = new Set<Watcher>();

  notify(id: string, change: JobChange): void {
    for (const watcher of this.all) {
      watcher.pending.delete(id);
      watcher.pending.set(id, change);
      watcher.wake();
    }
  }

  /** Yields changes from now on until the signal is aborted. */
  async *follow(signal?: AbortSignal): AsyncGenerator<JobChange, void> {
    const watcher: Watcher = { pending: new Map(), wake: () => undefined };
    this.all.add(watcher);
    const stop = (): void => watcher.wake();
    signal?.addEventListener('abort', stop);
    try {
      while (!signal?.aborted) {
        const [next] = watcher.pending;
        if (next) {
          watcher.pending.delete(next[0]);
          yield next[1];
        } else {
          await new Promise<void>((resolve) => {
            watcher.wake = resolve;
          });
        }
      }
    } finally {
      this.all.delete(watcher);
      signal?.removeEventListener('abort', stop);
    }
  }
}
