/** Who watches all jobs: each gets the newest state of each job that changed since it last looked. */
import type { JobChange } from '../types.js';

export class Watchers {
  private readonly all = new Set<{ readonly pending: Map<string, JobChange>; wake: () => void }>();

  tell(id: string, change: JobChange): void {
    for (const watcher of this.all) {
      watcher.pending.delete(id);
      watcher.pending.set(id, change);
      watcher.wake();
    }
  }

  /** From now on, until the signal is aborted. */
  async *follow(signal?: AbortSignal): AsyncGenerator<JobChange, void> {
    const watcher = { pending: new Map<string, JobChange>(), wake: (): void => undefined };
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
