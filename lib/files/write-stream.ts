/** Writes bytes through stdout, FIFOs and devices. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds between attempts while a FIFO has no reader or its buffer is full. */
const PAUSE = 10;

/** Resolves once all of `bytes` has been written. */
export type Write = (bytes: Uint8Array) => Promise<void>;

/** @throws the system's error, such as EPIPE for a closed pipe */
export function writeStdout(bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

/**
 * Opens a FIFO or device and calls `use` with a function that writes to it. Waits for the reader of a FIFO without
 * blocking a thread, so that the process can still be interrupted.
 */
export async function withStream(path: string, use: (write: Write) => Promise<void>): Promise<void> {
  const handle = await openStream(path);
  try {
    await use(async (bytes) => {
      for (let at = 0; at < bytes.length; ) at += await writeSome(handle, bytes.subarray(at));
    });
  } finally {
    await handle.close();
  }
}

async function openStream(path: string): Promise<FileHandle> {
  for (;;) {
    try {
      return await open(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_APPEND);
    } catch (error) {
      if (!isCode(error, 'ENXIO')) throw error; // a FIFO without a reader
      await sleep(PAUSE);
    }
  }
}

async function writeSome(handle: FileHandle, bytes: Uint8Array): Promise<number> {
  for (;;) {
    try {
      return (await handle.write(bytes)).bytesWritten;
    } catch (error) {
      if (!isCode(error, 'EAGAIN')) throw error;
      await sleep(PAUSE);
    }
  }
}

export function isCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
