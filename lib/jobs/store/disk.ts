/**
 * Watches the disk of the data folder. A full or failing disk is treated as a temporary condition, during which
 * the server keeps running but accepts no jobs.
 */
import { statfsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SafelightError } from '../../errors.js';
import { removeFile } from '../../files/replace.js';

/** Free bytes below which no job is accepted: enough for its record and one or two images. */
const MIN_FREE = 256 * 1024;
/** Milliseconds between write attempts while the disk is failing. */
const RETRY = 1000;
/** Error codes for no space, exceeded quota, a read-only file system or a failing device. */
const CODES: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EFBIG']);

/** Returns true if the error or one of its causes comes from a full or failing disk. */
export function isDiskError(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if ('code' in at && CODES.has(at.code)) return true;
  return false;
}

export class DiskWatch {
  private failure: string | undefined;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  /** Called when the disk accepts writes again. If it throws, the disk is still considered failing. */
  onRecovery: () => void = () => undefined;

  /** @param folder the data folder */
  constructor(private readonly folder: string) {}

  /** Reason why the folder cannot be written to at present and what to do about it; undefined if it can. */
  get problem(): string | undefined {
    if (this.failure !== undefined) return this.failure;
    const free = freeBytes(this.folder);
    if (free === undefined || free >= MIN_FREE) return undefined;
    return `The disk of the data folder '${this.folder}' has ${free} bytes free and jobs need ${MIN_FREE}; free some space`;
  }

  /** @throws FILE_NOT_WRITTEN while there is a problem */
  check(): void {
    const { problem } = this;
    if (problem !== undefined) throw new SafelightError('FILE_NOT_WRITTEN', problem);
  }

  /** Records a failed write and retries until the disk accepts writes again. */
  failed(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.failure = `The data folder '${this.folder}' cannot be written to (${reason}); free some space`;
    this.wait();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  /** Calls `onRecovery` when the disk accepts writes. */
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
      await removeFile(probe);
      this.failure = undefined;
      this.onRecovery();
    } catch (error) {
      this.failed(error);
    } finally {
      await removeFile(probe, { force: true }).catch(() => undefined);
    }
  }
}

/** Returns undefined if the file system does not report it. */
function freeBytes(folder: string): number | undefined {
  try {
    const { bavail, bfree, blocks, bsize } = statfsSync(folder);
    // Some blocks are reserved for root.
    return blocks === 0 ? undefined : (process.getuid?.() === 0 ? bfree : bavail) * bsize;
  } catch {
    return undefined;
  }
}
