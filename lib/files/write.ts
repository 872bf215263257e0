/**
 * Writes output files. A regular file is written to a temporary file in the same folder and renamed once it is on disk,
 * so that no partial file is ever visible. Symbolic links are followed; data is written directly to FIFOs, devices and
 * stdout (`-`).
 */
import { randomBytes } from 'node:crypto';
import { createReadStream, rmSync, type Stats } from 'node:fs';
import { type FileHandle, link, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join } from 'node:path';
import { SafelightError } from '../errors.js';
import { type Destination, destinationOf, notWritten, pathOf } from './destination.js';
import { removeFile, renameFile } from './replace.js';
import { isCode, type Write, withStream, writeStdout } from './write-stream.js';

/** Writes the content to an open temporary file, whose path is the second argument. */
export type Fill = (handle: FileHandle, temporary: string) => Promise<void>;

/**
 * Writes `bytes` to `path`; an existing file is replaced atomically and its mode is kept.
 * @throws FILE_NOT_WRITTEN, INVALID_OPTION
 */
export async function writeOutput(path: string | URL, bytes: Uint8Array): Promise<void> {
  const name = pathOf(path);
  const destination = await destinationOf(name);
  await failing(name, async () => {
    if (destination.kind === 'file') await replace(destination, (handle) => handle.writeFile(bytes));
    else await through(destination, (write) => write(bytes));
  });
}

/**
 * Writes a large file with `fill`, in pieces and in any order. For FIFOs, devices and stdout it is first written to the
 * folder of temporary files.
 * @throws FILE_NOT_WRITTEN, INVALID_OPTION, errors of `fill`; the temporary file is then removed
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
 * Writes `bytes` to `path`, or if that exists to `NAME-2.ext`, `NAME-3.ext` and so on. Never overwrites a file, even if
 * several processes save concurrently. Data is written directly to FIFOs and devices.
 * @returns the written path
 * @throws FILE_NOT_WRITTEN, INVALID_OPTION
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
          // The first name may be a dangling link.
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

/** Returns a numbered name: `a/image-2.png` for `a/image.png` and 2. */
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
    await withTemporary(path, fill, existing, (temporary) => renameFile(temporary, path));
  } catch (error) {
    // A writable file in a read-only folder, or a file that is a mount point (a single file mounted into a container).
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

/**
 * Writes a hidden temporary file next to `path`, with the mode and owner of the file that it replaces; always removes
 * it.
 */
async function withTemporary(
  path: string,
  fill: Fill,
  like: Stats | undefined,
  place: (temporary: string) => Promise<void>,
): Promise<void> {
  const name = `.${basename(path).slice(0, 100)}.${randomBytes(6).toString('hex')}.tmp`;
  const temporary = join(dirname(path), name);
  // Removes the file synchronously if the process exits before the normal cleanup.
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
    await removeFile(temporary, { force: true });
  }
}

async function adopt(handle: FileHandle, { mode, uid, gid }: Stats): Promise<void> {
  // Only root can change the owner; for other users the new file is theirs, as with editors that save by renaming.
  await handle.chown(uid, gid).catch(() => undefined);
  await handle.chmod(mode & 0o7777);
}

/**
 * Gives the file its name unless that exists (EEXIST), atomically by a hard link; a rename would replace the existing
 * file.
 */
async function claim(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (error) {
    if (isCode(error, 'EEXIST')) throw error;
    // For file systems without hard links: reserves the name, then renames the file over it.
    await (await open(path, 'wx')).close();
    await renameFile(temporary, path);
  }
}

/** Converts system errors to FILE_NOT_WRITTEN; other errors of `fill` are rethrown unchanged. */
async function failing(path: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof SafelightError || !(error instanceof Error && 'syscall' in error)) throw error;
    throw notWritten(path, error);
  }
}
