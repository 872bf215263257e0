/** Hashes of LoRA files, computed one after the other in the background. */
import { setTimeout as delay } from 'node:timers/promises';
import { loraHash } from '../../adapters/lora-hash.js';
import { FileCache } from '../../files/file-cache.js';

export class Hashes {
  private readonly cache = new FileCache((path) => this.queue(path));
  private last: Promise<unknown> = Promise.resolve();

  /** @param closing ends the computation when the server closes */
  constructor(private readonly closing: AbortSignal) {}

  /**
   * Returns the hashes by path. Those that are not computed after `patience` milliseconds are missing; they are
   * computed in the background and contained in a later result. Files that cannot be read are missing too.
   */
  async of(paths: readonly string[], patience: number): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    const all = Promise.all(
      paths.map(async (path) => {
        const hash = await this.cache.get(path).catch(() => undefined);
        if (hash !== undefined) found.set(path, hash);
      }),
    );
    if (patience === Number.POSITIVE_INFINITY) await all;
    else await within(patience, all);
    return new Map(found);
  }

  /** Computes a hash when those before it are done, since several files at once are read more slowly. */
  private queue(path: string): Promise<string> {
    const next = this.last.then(() => loraHash(path, this.closing));
    this.last = next.catch(() => undefined);
    return next;
  }
}

async function within(milliseconds: number, work: Promise<unknown>): Promise<void> {
  const timer = new AbortController();
  const time = delay(milliseconds, undefined, { signal: timer.signal, ref: false }).catch(() => undefined);
  await Promise.race([work, time]);
  timer.abort();
}
