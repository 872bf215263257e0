/** One process at a time downloads a file: flock(2) on the file that huggingface_hub locks too. */
import { type FileHandle, mkdir, open, rm, stat, utimes } from 'node:fs/promises';
import { dirname } from 'node:path';
import { tryLock } from '../binding/file-lock.js';
import { pauseFor, SafelightError } from '../errors.js';

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told once when somebody else has the lock, and when the file system has none and a file of our own stands for it. */
  readonly onNote?: ((note: string) => void) | undefined;
}

const POLL = 100;
/** Milliseconds after which waiting is worth a word. */
const TELL = 1_000;
/** A file of our own is touched every 5 s; untouched for 30 s, its owner is dead. Milliseconds. */
const TOUCH = 5_000;
const STALE = 30_000;

type Release = () => Promise<void>;

/** Waits for the lock, works, lets go. @throws FILE_NOT_WRITTEN, the signal's reason, and what `work` throws */
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
    const held = await patiently(path, options, () => flocked(path));
    if (held !== 'unsupported') return () => held.close();
    options.onNote?.(`this file system has no flock(2): '${path}.safelight' stands for the lock`);
    return await ownLock(`${path}.safelight`, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof SafelightError) throw error;
    throw new SafelightError('FILE_NOT_WRITTEN', `Cannot lock '${path}': ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** The locked file, open; undefined while somebody else has it. */
async function flocked(path: string): Promise<FileHandle | 'unsupported' | undefined> {
  const file = await open(path, 'a', 0o664);
  try {
    const state = attempt(file.fd);
    // Whoever had it may have removed the name; then this is a lock on nothing that others would find.
    if (state === 'locked' && (await file.stat()).nlink > 0) return file;
    await file.close();
    return state === 'unsupported' ? state : undefined;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Without a native binary, downloads still work. */
function attempt(descriptor: number): ReturnType<typeof tryLock> {
  try {
    return tryLock(descriptor);
  } catch (error) {
    if (error instanceof SafelightError && error.code === 'BINARY_NOT_FOUND') return 'unsupported';
    throw error;
  }
}

/** A file that exists while the lock is held. */
export async function ownLock(path: string, options: LockOptions): Promise<Release> {
  const file = await patiently(path, options, async () => {
    try {
      return await open(path, 'wx');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const age = Date.now() - (await stat(path).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs;
      if (age > STALE) await rm(path, { force: true });
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
    await rm(path, { force: true });
  };
}

async function patiently<T>(
  path: string,
  { signal, onNote }: LockOptions,
  attemptOnce: () => Promise<T | undefined>,
): Promise<T> {
  for (let attempts = 0; ; attempts++) {
    const got = await attemptOnce();
    if (got !== undefined) return got;
    if (attempts * POLL === TELL)
      onNote?.(`waiting: another process downloads the same file ('${path}' is locked)`);
    await pauseFor(POLL, signal);
  }
}
