/** State that the downloads of one `pull` share: connections, retries and progress. */
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { invalidOption, SafelightError } from '../../errors.js';
import type { PullOptions } from '../types.js';
import { Rate } from './rate.js';
import { Gate } from './retry.js';
import type { Connection } from './transfer.js';

/** Files looked up or downloaded concurrently; `connections` limits requests separately. */
const FILES = 6;

export class Session {
  readonly gate: Gate;
  readonly files = new Gate(FILES);
  private readonly rate = new Rate();
  private bytes = 0;
  private total = 0;
  private fetchedBytes = 0;
  private completed = 0;
  private count = 0;
  private shown = Number.NEGATIVE_INFINITY;

  /** @throws INVALID_OPTION */
  constructor(private readonly options: PullOptions) {
    const { connections = 8 } = options;
    if (!Number.isInteger(connections) || connections < 1 || connections > 32)
      throw invalidOption('connections', 'an integer between 1 and 32', connections);
    this.gate = new Gate(connections);
  }

  connection(token: string | undefined): Connection {
    const { signal, retry = {} } = this.options;
    const { attempts = 5, pause = 1000, patience = 30_000 } = retry;
    return { token, signal, gate: this.gate, attempts, pause, patience };
  }

  get fetched(): number {
    return this.fetchedBytes;
  }

  /** Announces files, and their bytes as far as they are known. */
  expect(count: number, bytes: number): void {
    this.count = count;
    this.total = bytes;
  }

  /** @param fetched true if the bytes were downloaded now */
  add(file: string, bytes: number, fetched: boolean): void {
    this.bytes += bytes;
    this.total = Math.max(this.total, this.bytes);
    if (fetched) {
      this.fetchedBytes += bytes;
      this.rate.add(bytes);
    }
    if (performance.now() - this.shown > 50) this.show(file);
  }

  finished(file: string): void {
    this.completed++;
    this.show(file);
  }

  private show(file: string): void {
    this.shown = performance.now();
    const rate = this.rate.perSecond;
    this.options.onProgress?.({
      file,
      files: [this.completed, this.count],
      bytes: this.bytes,
      total: this.total,
      rate,
      left: rate > 0 ? (this.total - this.bytes) / rate : undefined,
    });
  }
}

/** Checks the free disk space before any download. @throws FILE_NOT_WRITTEN if it is too small */
export async function checkRoom(folder: string, bytes: number): Promise<void> {
  for (let at = folder; ; at = dirname(at)) {
    const stats = await statfs(at).catch(() => undefined);
    if (stats) {
      const free = stats.bavail * stats.bsize;
      if (free >= bytes) return;
      const gb = (count: number) => `${(count / 1e9).toFixed(1)} GB`;
      throw new SafelightError(
        'FILE_NOT_WRITTEN',
        `'${folder}' has ${gb(free)} free, but the download needs ${gb(bytes)}; free some space, or choose fewer files with --include`,
      );
    }
    if (at === dirname(at)) return;
  }
}
