/**
 * Resolves an output path to a regular file, which is replaced atomically, or to a device or pipe, to which data is
 * written.
 */
import { fstatSync, type Stats } from 'node:fs';
import { lstat, readlink, stat } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { invalidOption, SafelightError } from '../errors.js';

/** The `-` of command lines. */
export const STDOUT = '-';

export type Destination =
  /** `path` has its symbolic links resolved; `existing` is undefined for a new file. */
  | { readonly kind: 'file'; readonly path: string; readonly existing: Stats | undefined }
  /** A FIFO, device or terminal: opened by its name and never replaced. */
  | { readonly kind: 'stream'; readonly path: string }
  | { readonly kind: 'stdout' };

/** Linux's limit of consecutive symbolic links. */
const MAX_LINKS = 40;

/** Returns the path of a string or a `file:` URL. @throws INVALID_OPTION */
export function pathOf(path: string | URL): string {
  if (typeof path === 'string' && path !== '' && !path.includes('\0')) return path;
  if (path instanceof URL && path.protocol === 'file:') {
    try {
      return fileURLToPath(path);
    } catch {
      // A remote host or an encoded slash.
    }
  }
  throw invalidOption('path', 'a file path or a file: URL', path instanceof URL ? path.href : path);
}

/**
 * Resolves symbolic links, including dangling ones: writing to a link creates its target, as a shell's `>` does.
 * @throws FILE_NOT_WRITTEN for a folder, a socket and cyclic links
 */
export async function destinationOf(path: string): Promise<Destination> {
  if (path === STDOUT) return { kind: 'stdout' };
  const info = await stat(path).catch(() => undefined);
  if (info?.isDirectory() || path.endsWith(sep) || path.endsWith('/'))
    throw notWritten(path, 'it is a folder');
  if (info?.isSocket()) throw notWritten(path, 'it is a socket');
  if (info && isStdout(info)) return { kind: 'stdout' };
  if (info && !info.isFile()) return { kind: 'stream', path };
  const target = await endOfLinks(path);
  // A descriptor that is already open (/dev/fd/3): replacing the path would not affect it.
  if (target === undefined) return { kind: 'stream', path };
  return { kind: 'file', path: target, existing: info };
}

/** Returns the path at the end of a chain of links; undefined if it leads through the open files of a process. */
async function endOfLinks(path: string): Promise<string | undefined> {
  let at = path;
  for (let links = 0; links < MAX_LINKS; links++) {
    const info = await lstat(at).catch(() => undefined);
    if (!info?.isSymbolicLink()) return at;
    if (/^(?:\/proc\/[^/]+(?:\/task\/\d+)?|\/dev)\/fd\//.test(at)) return undefined;
    at = resolve(dirname(at), await readlink(at));
  }
  throw notWritten(path, 'its symbolic links are cyclic');
}

/**
 * Returns true for the file to which stdout is redirected; replacing it would leave the process writing to a deleted
 * file.
 */
function isStdout(info: Stats): boolean {
  try {
    const stdout = fstatSync(1);
    return stdout.dev === info.dev && stdout.ino === info.ino;
  } catch {
    return false; // closed
  }
}

export function notWritten(path: string, why: unknown): SafelightError {
  const reason = why instanceof Error ? why.message : String(why);
  return new SafelightError(
    'FILE_NOT_WRITTEN',
    `Cannot write '${path}': ${reason}`,
    why instanceof Error ? { cause: why } : {},
  );
}
