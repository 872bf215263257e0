/** Ensures that only one process downloads a file, with a lock on the lock file that huggingface_hub uses too. */
import { mkdir, open, stat, utimes } from 'node:fs/promises';
import { dirname } from 'node:path';
import { tryLock } from '../binding/file-lock.js';
import type { NativeFileLock } from '../binding/types.js';
import { pauseFor, SafelightError } from '../errors.js';
import { removeFile } from '../files/replace.js';

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * Called once if another process has the lock, and if the file system has no locks so that a separate file replaces
   * them.
   */
  readonly onNote?: ((note: string) => void) | undefined;
}

const POLL = 100;
/** Milliseconds of waiting after which `onNote` is called. */
const NOTE_AFTER = 1_000;
/** A lock file is touched every 5 s; untouched for 30 s, its owner is considered dead. Milliseconds. */
const TOUCH = 5_000;
const STALE = 30_000;

type Release = () => Promise<void>;

/**
 * Acquires the lock, calls `work`, and releases the lock.
 * @throws FILE_NOT_WRITTEN, the signal's reason, errors of `work`
 */
export async function withLock<T>(path: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const release = await acquire(path, options);
  try {
    return await work();
  } finally {
    await release();
  }
}

async function acquire(path: string, options: LockOptions): Promise<Release> {
  try {
    await mkdir(dirname(path), { recursive: true });
    const lock = await poll(path, options, async () => attempt(path));
    if (lock !== 'unsupported') return async () => lock.release();
    options.onNote?.(`this file system has no locks: '${path}.safelight' is used as the lock`);
    return await ownLock(`${path}.safelight`, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof SafelightError) throw error;
    throw new SafelightError('FILE_NOT_WRITTEN', `Cannot lock '${path}': ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Returns undefined while another process has the lock. Does not fail if there is no native binary. */
function attempt(path: string): NativeFileLock | 'unsupported' | undefined {
  try {
    const lock = tryLock(path);
    return lock === 'busy' ? undefined : lock;
  } catch (error) {
    if (error instanceof SafelightError && error.code === 'BINARY_NOT_FOUND') return 'unsupported';
    throw error;
  }
}

/** Acquires a lock that consists of the existence of a file. */
export async function ownLock(path: string, options: LockOptions): Promise<Release> {
  const file = await poll(path, options, async () => {
    try {
      return await open(path, 'wx');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const age = Date.now() - (await stat(path).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs;
      if (age > STALE) await removeFile(path, { force: true });
      return undefined;
    }
  });
  await file.writeFile(`${process.pid}\n`);
  await file.close();
  const touching = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, TOUCH);
  touching.unref();
  return async () => {
    clearInterval(touching);
    await removeFile(path, { force: true });
  };
}

async function poll<T>(
  path: string,
  { signal, onNote }: LockOptions,
  attemptOnce: () => Promise<T | undefined>,
): Promise<T> {
  for (let attempts = 0; ; attempts++) {
    const got = await attemptOnce();
    if (got !== undefined) return got;
    if (attempts * POLL === NOTE_AFTER)
      onNote?.(`waiting: another process is downloading the same file ('${path}' is locked)`);
    await pauseFor(POLL, signal);
  }
}
