/**
 * Lock of a data folder, which only one process may use at a time: a locked file in the folder that names the process.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryLock } from '../../binding/file-lock.js';
import { SafelightError } from '../../errors.js';
import { ownLock } from '../../hub/lock.js';

/** Default of the milliseconds to wait for another process that is about to end. */
const PATIENCE = 2000;
const POLL = 50;
const MAX_NOTE = 4096;
/** Position of the byte that Windows locks: behind the note, which other processes must be able to read. */
export const LOCKED_BYTE = 2 ** 32;

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** ISO 8601. */
  readonly started: string;
  /** URL of the server, once it listens. */
  readonly url?: string;
}

export class DataLock {
  private constructor(
    private readonly file: FileHandle,
    private readonly release: () => Promise<void>,
    private readonly holder: Holder,
  ) {}

  /**
   * Acquires the lock. The system releases it however the process ends.
   * @param patience milliseconds to wait for another process that is about to end; default 2000
   * @throws DATA_IN_USE with the process that holds it, FILE_NOT_WRITTEN
   */
  static async acquire(folder: string, patience = PATIENCE): Promise<DataLock> {
    const path = join(folder, 'lock');
    const holder = { pid: process.pid, host: hostname(), started: new Date().toISOString() };
    let file: FileHandle | undefined;
    try {
      // Not in append mode, in which Windows does not truncate files.
      file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o644);
      const release = await waitForLock(path, patience);
      if (!release) throw inUse(folder, await readNote(file));
      const lock = new DataLock(file, release, holder);
      await lock.note({});
      return lock;
    } catch (error) {
      await file?.close();
      if (error instanceof SafelightError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new SafelightError('FILE_NOT_WRITTEN', `Cannot lock the data folder '${folder}': ${reason}`, {
        cause: error,
      });
    }
  }

  /**
   * Rewrites the lock file with additional information. Write errors are ignored, because the lock does not depend
   * on it.
   */
  async note(more: Pick<Holder, 'url'>): Promise<void> {
    try {
      await this.file.truncate();
      await this.file.write(`${JSON.stringify({ ...this.holder, ...more })}\n`, 0);
    } catch {
      // Other processes are still refused, without details of this one.
    }
  }

  async close(): Promise<void> {
    await this.file.truncate().catch(() => undefined);
    await this.release();
    await this.file.close();
  }
}

/** Waits for the lock. Returns a function that releases it; undefined if another process holds it. */
async function waitForLock(path: string, patience: number): Promise<(() => Promise<void>) | undefined> {
  const until = Date.now() + patience;
  for (;;) {
    const lock = tryLock(path, LOCKED_BYTE);
    if (typeof lock === 'object') return async () => lock.release();
    if (lock === 'unsupported') {
      // Fallback for file systems without locks: a separate lock file that is touched while held.
      return ownLock(`${path}.safelight`, { signal: AbortSignal.timeout(PATIENCE) }).catch(() => undefined);
    }
    if (Date.now() > until) return undefined;
    await sleep(POLL);
  }
}

async function readNote(file: FileHandle): Promise<Partial<Holder>> {
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(MAX_NOTE), 0, MAX_NOTE, 0);
    const note: unknown = JSON.parse(buffer.toString('utf8', 0, bytesRead));
    return typeof note === 'object' && note !== null ? note : {};
  } catch {
    return {};
  }
}

function inUse(folder: string, { pid, host, started, url }: Partial<Holder>): SafelightError {
  const details = [
    host && host !== hostname() && `on ${host}`,
    url && `at ${url}`,
    started && `since ${started}`,
  ];
  const owner = [pid === undefined ? 'another process' : `process ${pid}`, ...details]
    .filter(Boolean)
    .join(' ');
  return new SafelightError(
    'DATA_IN_USE',
    `The data folder '${folder}' is in use by ${owner}; stop it, or use another folder with --data`,
  );
}
