/**
 * Output files. A regular file is written beside its place and renamed once it is on the disk, so that nobody ever sees half of it; symbolic
 * links are followed, and FIFOs, devices and stdout (`-`) are written through.
 */
import { randomBytes } from 'node:crypto';
import { createReadStream, rmSync, type Stats } from 'node:fs';
import { type FileHandle, link, open, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join } from 'node:path';
import { SafelightError } from '../errors.js';
import { type Destination, destinationOf, notWritten, pathOf } from './destination.js';
import { isCode, type Write, withStream, writeStdout } from './write-stream.js';

/** Writes to an open temporary file, whose path is given too. */
export type Fill = (handle: FileHandle, temporary: string) => Promise<void>;

/** Writes `bytes` to `path`; an existing file is replaced whole and keeps its mode. @throws FILE_NOT_WRITTEN, INVALID_OPTION */
export async function writeOutput(path: string | URL, bytes: Uint8Array): Promise<void> {
  const name = pathOf(path);
  const destination = await destinationOf(name);
  await failing(name, async () => {
    if (destination.kind === 'file') await replace(destination, (handle) => handle.writeFile(bytes));
    else await through(destination, (write) => write(bytes));
  });
}

/**
 * The same for a large file that `fill` writes piece by piece, in any order. What is written through is made in the folder of temporary
 * files first.
 * @throws FILE_NOT_WRITTEN, INVALID_OPTION, or what `fill` throws; then nothing is left behind
 */
export async function writeLargeOutput(path: string | URL, fill: Fill): Promise<void> {
  const name = pathOf(path);
  const destination = await destinationOf(name);
  await failing(name, async () => {
    if (destination.kind === 'file') return replace(destination, fill);
    await withTemporary(join(tmpdir(), 'safelight'), fill, undefined, (temporary) =>
      through(destination, async (write) => {
        for await (const chunk of createReadStream(temporary)) await write(chunk as Uint8Array);
      }),
    );
  });
}

/**
 * Writes `bytes` to `path`, or where that exists to `NAME-2.ext`, `NAME-3.ext` and so on; never overwrites, even when several processes save at
 * once. FIFOs and devices are written through. @returns the path that was written. @throws FILE_NOT_WRITTEN, INVALID_OPTION
 */
export async function writeNewOutput(path: string | URL, bytes: Uint8Array): Promise<string> {
  const name = pathOf(path);
  const destination = await destinationOf(name);
  let written = name;
  await failing(name, async () => {
    if (destination.kind !== 'file') return through(destination, (write) => write(bytes));
    const place = async (temporary: string): Promise<void> => {
      for (let number = 1; ; number++) {
        written = number === 1 ? name : numbered(name, number);
        try {
          // The first name may be a link to a file that does not exist yet.
          return await claim(temporary, number === 1 ? destination.path : written);
        } catch (error) {
          if (!isCode(error, 'EEXIST')) throw error;
        }
      }
    };
    await withTemporary(destination.path, (handle) => handle.writeFile(bytes), undefined, place);
  });
  return written;
}

/** `a/image.png` and 2 give `a/image-2.png`. */
export function numbered(path: string, number: number): string {
  const extension = extname(path);
  return join(dirname(path), `${basename(path, extension)}-${number}${extension}`);
}

function through(
  destination: Exclude<Destination, { kind: 'file' }>,
  use: (write: Write) => Promise<void>,
): Promise<void> {
  return destination.kind === 'stdout' ? use(writeStdout) : withStream(destination.path, use);
}

async function replace(
  { path, existing }: Extract<Destination, { kind: 'file' }>,
  fill: Fill,
): Promise<void> {
  try {
    await withTemporary(path, fill, existing, (temporary) => rename(temporary, path));
  } catch (error) {
    // A writable file in a folder that is not, or one that is a mount point of its own (a single file given to a container).
    if (!existing || !isCode(error, 'EACCES', 'EPERM', 'EBUSY', 'EROFS')) throw error;
    await withTemporary(join(tmpdir(), 'safelight'), fill, undefined, (temporary) =>
      overwrite(path, temporary),
    );
  }
}

async function overwrite(path: string, source: string): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    await handle.truncate();
    for await (const chunk of createReadStream(source)) await handle.appendFile(chunk as Uint8Array);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Fills a hidden file beside `path`, which gets the mode and owner of the one that it is to replace, and removes it in any case. */
async function withTemporary(
  path: string,
  fill: Fill,
  like: Stats | undefined,
  place: (temporary: string) => Promise<void>,
): Promise<void> {
  const name = `.${basename(path).slice(0, 100)}.${randomBytes(6).toString('hex')}.tmp`;
  const temporary = join(dirname(path), name);
  // A process that is told to end at once has no time for the rest.
  const forget = (): void => rmSync(temporary, { force: true });
  process.once('exit', forget);
  try {
    const handle = await open(temporary, 'wx');
    try {
      if (like) await adopt(handle, like);
      await fill(handle, temporary);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await place(temporary);
  } finally {
    process.off('exit', forget);
    await rm(temporary, { force: true });
  }
}

async function adopt(handle: FileHandle, { mode, uid, gid }: Stats): Promise<void> {
  // Only root may give a file away; for others it is theirs afterwards, as with any editor that saves by renaming.
  await handle.chown(uid, gid).catch(() => undefined);
  await handle.chmod(mode & 0o7777);
}

/** Gives the file its name unless that is taken (EEXIST): a hard link does so atomically, where a rename would replace. */
async function claim(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (error) {
    if (isCode(error, 'EEXIST')) throw error;
    // File systems without hard links: take the name first, then move the whole file over it.
    await (await open(path, 'wx')).close();
    await rename(temporary, path);
  }
}

/** Errors of the system become FILE_NOT_WRITTEN; what a caller's `fill` throws of its own passes as it is. */
async function failing(path: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof SafelightError || !(error instanceof Error && 'syscall' in error)) throw error;
    throw notWritten(path, error);
  }
}
