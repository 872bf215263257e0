import { type FileHandle, open, stat } from 'node:fs/promises';
import { SafelightError } from '../errors.js';

/**
 * Opens a regular file for reading. Other files (a folder, a pipe that would block) are rejected before they are
 * opened.
 * @throws FILE_NOT_FOUND, INVALID_FILE
 */
export async function openRegular(path: string): Promise<{ handle: FileHandle; size: number }> {
  try {
    const stats = await stat(path);
    if (!stats.isFile()) {
      throw new SafelightError(
        'FILE_NOT_FOUND',
        `${path} is ${stats.isDirectory() ? 'a folder' : 'not a regular file'}; name a file`,
      );
    }
    const handle = await open(path, 'r');
    return { handle, size: (await handle.stat()).size };
  } catch (error) {
    throw fileError(path, error);
  }
}

/** Fills `target` from `offset` on. @throws INVALID_FILE if the file is too short */
export async function readFully(
  handle: FileHandle,
  target: Uint8Array,
  offset: number,
  path: string,
): Promise<void> {
  let done = 0;
  while (done < target.length) {
    const { bytesRead } = await handle.read(target, done, target.length - done, offset + done);
    if (bytesRead === 0)
      throw new SafelightError(
        'INVALID_FILE',
        `${path} ended while it was read; try again once it is complete`,
      );
    done += bytesRead;
  }
}

/** Reads a UTF-8 text file of at most `limit` bytes. @throws FILE_NOT_FOUND, INVALID_FILE */
export async function readText(path: string, limit: number): Promise<string> {
  const { handle, size } = await openRegular(path);
  try {
    if (size > limit) {
      throw new SafelightError(
        'INVALID_FILE',
        `${path} has ${size} bytes, expected at most ${limit}; it is another kind of file`,
      );
    }
    const bytes = new Uint8Array(size);
    await readFully(handle, bytes, 0, path);
    return decodeUtf8(bytes, path);
  } catch (error) {
    throw fileError(path, error);
  } finally {
    await handle.close();
  }
}

/** Decodes UTF-8. @throws INVALID_FILE for other bytes */
export function decodeUtf8(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new SafelightError('INVALID_FILE', `${path} is not valid UTF-8 text; download it again`);
  }
}

/** Reads a JSON document of at most `limit` bytes. @throws FILE_NOT_FOUND, INVALID_FILE */
export async function readJson(path: string, limit: number): Promise<unknown> {
  const text = await readText(path, limit);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SafelightError('INVALID_FILE', `${path} is not valid JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Returns the kind of a path: `file`, `folder`, or null if it is neither or does not exist. Links are followed. */
export async function kindOf(path: string): Promise<'file' | 'folder' | null> {
  try {
    const stats = await stat(path);
    return stats.isFile() ? 'file' : stats.isDirectory() ? 'folder' : null;
  } catch {
    return null;
  }
}

/** Converts the error of a system call to FILE_NOT_FOUND; typed errors are returned unchanged. */
export function fileError(path: string, error: unknown): SafelightError {
  if (error instanceof SafelightError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  const reason =
    code === 'ENOENT' || code === 'ENOTDIR'
      ? 'does not exist; check the path'
      : code === 'EACCES' || code === 'EPERM'
        ? 'is not readable; check its permissions'
        : `cannot be read (${code ?? String(error)})`;
  return new SafelightError('FILE_NOT_FOUND', `${path} ${reason}`, { cause: error });
}
