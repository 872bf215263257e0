/** The disk under the data folder: full or broken is a condition that passes, and the server outlives it. */
import { statfsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SafelightError } from '../../errors.js';

/** Bytes below which no job is accepted: its record, and an image or two. */
const MIN_FREE = 256 * 1024;
/** Milliseconds between attempts to write again. */
const RETRY = 1000;
/** No space, no quota, no writing, or a device that fails. */
const CODES: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EFBIG', 28, 122, 30, 5]);

/** True for an error that a full or broken disk causes, or one that such an error caused. */
export function isDiskError(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if ('code' in at && CODES.has(at.code)) return true;
  return false;
}

export class DiskWatch {
  private failure: string | undefined;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  /** Called once the disk takes writes again; an error that it throws means that it does not yet. */
  onRecovery: () => void = () => undefined;

  /** @param folder the data folder */
  constructor(private readonly folder: string) {}

  /** The reason why the folder cannot be written to at present, with what to do; undefined where it can. */
  get problem(): string | undefined {
    if (this.failure !== undefined) return this.failure;
    const free = freeBytes(this.folder);
    if (free === undefined || free >= MIN_FREE) return undefined;
    return `The disk of the data folder '${this.folder}' has ${free} bytes free, and jobs need ${MIN_FREE}; free some space`;
  }

  /** @throws FILE_NOT_WRITTEN while there is a problem */
  check(): void {
    const { problem } = this;
    if (problem !== undefined) throw new SafelightError('FILE_NOT_WRITTEN', problem);
  }

  /** Notes a failed write, and tries the disk from now on until it takes one. */
  failed(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    this.failure = `The data folder '${this.folder}' cannot be written to (${why}); free some space`;
    this.wait();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  /** Calls `onRecovery` once the disk takes writes. */
  wait(): void {
    if (this.timer !== undefined || this.stopped) return;
    this.timer = setTimeout(() => void this.retry(), RETRY);
    this.timer.unref();
  }

  private async retry(): Promise<void> {
    this.timer = undefined;
    const probe = join(this.folder, '.probe');
    try {
      await writeFile(probe, Buffer.alloc(MIN_FREE / 4));
      await rm(probe);
      this.failure = undefined;
      this.onRecovery();
    } catch (error) {
      this.failed(error);
    } finally {
      await rm(probe, { force: true }).catch(() => undefined);
    }
  }
}

/** Undefined where the file system does not say. */
function freeBytes(folder: string): number | undefined {
  try {
    const { bavail, bfree, blocks, bsize } = statfsSync(folder);
    // Some blocks are kept for root.
    return blocks === 0 ? undefined : (process.getuid?.() === 0 ? bfree : bavail) * bsize;
  } catch {
    return undefined;
  }
}
