/** Lock of a data folder, which one process at a time uses: flock(2) on a file in it, whose text names the process. */
import { type FileHandle, open } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryLock } from '../../binding/file-lock.js';
import { SafelightError } from '../../errors.js';
import { ownLock } from '../../hub/lock.js';

/** Milliseconds to wait for a process that is about to end. */
const PATIENCE = 2000;
const POLL = 50;
const MAX_NOTE = 4096;

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** ISO 8601. */
  readonly started: string;
  /** Address of the server, once it listens. */
  readonly url?: string;
}

export class DataLock {
  private constructor(
    private readonly file: FileHandle,
    private readonly release: () => Promise<void>,
    private readonly holder: Holder,
  ) {}

  /**
   * Acquires the lock. It belongs to the open file, so that any end of the process releases it.
   * @throws DATA_IN_USE with the process that holds it, FILE_NOT_WRITTEN
   */
  static async acquire(folder: string): Promise<DataLock> {
    const path = join(folder, 'lock');
    const holder = { pid: process.pid, host: hostname(), started: new Date().toISOString() };
    let file: FileHandle | undefined;
    try {
      file = await open(path, 'a+', 0o644);
      const release = await acquired(file, path);
      if (!release) throw inUse(folder, await noteOf(file));
      const lock = new DataLock(file, release, holder);
      await lock.note({});
      return lock;
    } catch (error) {
      await file?.close();
      if (error instanceof SafelightError) throw error;
      const why = error instanceof Error ? error.message : String(error);
      throw new SafelightError('FILE_NOT_WRITTEN', `Cannot lock the data folder '${folder}': ${why}`, {
        cause: error,
      });
    }
  }

  /** Adds to the text of the lock file. Errors of a full disk are ignored, as the lock holds without it. */
  async note(more: Pick<Holder, 'url'>): Promise<void> {
    try {
      await this.file.truncate();
      await this.file.appendFile(`${JSON.stringify({ ...this.holder, ...more })}\n`);
    } catch {
      // Another process is refused without the name of this one.
    }
  }

  async close(): Promise<void> {
    await this.file.truncate().catch(() => undefined);
    await this.release();
    await this.file.close();
  }
}

/** Returns a function that releases the lock; undefined where another process keeps it. */
async function acquired(file: FileHandle, path: string): Promise<(() => Promise<void>) | undefined> {
  const until = Date.now() + PATIENCE;
  for (;;) {
    const state = tryLock(file.fd);
    if (state === 'locked') return async () => undefined; // closing the file does
    if (state === 'unsupported') {
      // A file of our own, touched while it holds: on file systems and platforms without flock(2).
      return ownLock(`${path}.safelight`, { signal: AbortSignal.timeout(PATIENCE) }).catch(() => undefined);
    }
    if (Date.now() > until) return undefined;
    await sleep(POLL);
  }
}

async function noteOf(file: FileHandle): Promise<Partial<Holder>> {
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(MAX_NOTE), 0, MAX_NOTE, 0);
    const note: unknown = JSON.parse(buffer.toString('utf8', 0, bytesRead));
    return typeof note === 'object' && note !== null ? note : {};
  } catch {
    return {};
  }
}

function inUse(folder: string, { pid, host, started, url }: Partial<Holder>): SafelightError {
  const where = [
    host && host !== hostname() && `on ${host}`,
    url && `at ${url}`,
    started && `since ${started}`,
  ];
  const who = [pid === undefined ? 'another process' : `process ${pid}`, ...where].filter(Boolean).join(' ');
  return new SafelightError(
    'DATA_IN_USE',
    `The data folder '${folder}' is in use by ${who}; stop it, or name another folder with --data`,
  );
}
