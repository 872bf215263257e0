/** Files written whole or not at all. */
import { randomBytes } from 'node:crypto';
import { link, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { SafelightError } from '../errors.js';

/**
 * Writes `bytes` to a temporary file beside `path` and renames it, so that nobody ever sees half a file; an existing file is
 * replaced. @throws FILE_NOT_WRITTEN
 */
export async function writeFileAtomic(path: string, bytes: Uint8Array): Promise<void> {
  await throughTemporary(path, bytes, (temporary) => rename(temporary, path));
}

/**
 * Writes `bytes` to `path`, or where that exists to `NAME-2.ext`, `NAME-3.ext` and so on; never overwrites, even when several
 * processes save at once. @returns the path that was written. @throws FILE_NOT_WRITTEN
 */
export async function writeFileFresh(path: string, bytes: Uint8Array): Promise<string> {
  let written = path;
  await throughTemporary(path, bytes, async (temporary) => {
    for (let number = 1; ; number++) {
      written = number === 1 ? path : numbered(path, number);
      try {
        return await claim(temporary, written);
      } catch (error) {
        if (!isCode(error, 'EEXIST')) throw error;
      }
    }
  });
  return written;
}

/** `a/picture.png` and 2 give `a/picture-2.png`. */
export function numbered(path: string, number: number): string {
  const extension = extname(path);
  return join(dirname(path), `${basename(path, extension)}-${number}${extension}`);
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

async function throughTemporary(
  path: string,
  bytes: Uint8Array,
  place: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = join(
    dirname(path),
    `.${basename(path).slice(0, 100)}.${randomBytes(6).toString('hex')}.tmp`,
  );
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await place(temporary);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SafelightError('FILE_NOT_WRITTEN', `Cannot write '${path}': ${why}`, { cause: error });
  } finally {
    await rm(temporary, { force: true });
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
