import { type FileHandle, open, stat } from 'node:fs/promises';
import { SafelightError } from '../errors.js';

/** Opens a regular file for reading. Anything else (a folder, a pipe that would block) is refused before it is opened. */
export async function openRegular(path: string): Promise<{ handle: FileHandle; size: number }> {
  try {
    const found = await stat(path);
    if (!found.isFile()) {
      throw new SafelightError(
        'FILE_NOT_FOUND',
        `${path} is ${found.isDirectory() ? 'a folder' : 'no regular file'}; name a file`,
      );
    }
    const handle = await open(path, 'r');
    return { handle, size: (await handle.stat()).size };
  } catch (error) {
    throw fileError(path, error);
  }
}

/** Fills `target` from `offset` on; a file that shrank meanwhile is an INVALID_FILE. */
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

/** A whole text file of at most `limit` bytes; bytes that are not UTF-8 are an INVALID_FILE. */
export async function readText(path: string, limit: number): Promise<string> {
  const { handle, size } = await openRegular(path);
  try {
    if (size > limit) {
      throw new SafelightError(
        'INVALID_FILE',
        `${path} has ${size} bytes, where at most ${limit} are expected; it is another kind of file`,
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

/** Bytes as text; anything but UTF-8 is an INVALID_FILE. */
export function decodeUtf8(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new SafelightError(
      'INVALID_FILE',
      `${path} is not UTF-8 text where it has to be; download it again`,
    );
  }
}

/** A JSON document of at most `limit` bytes. */
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

/** What exists at a path: `file`, `folder`, or null for neither. Links are followed. */
export async function kindOf(path: string): Promise<'file' | 'folder' | null> {
  try {
    const found = await stat(path);
    return found.isFile() ? 'file' : found.isDirectory() ? 'folder' : null;
  } catch {
    return null;
  }
}

/** A failed system call as a typed error; typed errors pass through. */
export function fileError(path: string, error: unknown): SafelightError {
  if (error instanceof SafelightError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  const reason =
    code === 'ENOENT' || code === 'ENOTDIR'
      ? 'does not exist; check the path'
      : code === 'EACCES' || code === 'EPERM'
        ? 'may not be read; check its permissions'
        : `cannot be read (${code ?? String(error)})`;
  return new SafelightError('FILE_NOT_FOUND', `${path} ${reason}`, { cause: error });
}
