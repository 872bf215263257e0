/** Checksums of downloads: SHA-256 for large files, git's hash for small ones. */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { SafelightError, throwIfAborted } from '../../errors.js';

export interface Checksum {
  readonly kind: 'sha256' | 'git-sha1';
  /** Lower-case hexadecimal. */
  readonly value: string;
}

/**
 * Parses an ETag of the hub: the SHA-256 of files in large file storage, else git's blob hash; undefined for other
 * ETags.
 */
export function checksumOfETag(etag: string): Checksum | undefined {
  const value = etag.toLowerCase();
  if (/^[0-9a-f]{64}$/.test(value)) return { kind: 'sha256', value };
  if (/^[0-9a-f]{40}$/.test(value)) return { kind: 'git-sha1', value };
  return undefined;
}

/** Hashes a file. @throws FILE_NOT_FOUND, the signal's reason */
export async function fileHash(path: string, kind: Checksum['kind'], signal?: AbortSignal): Promise<string> {
  try {
    const hash = kind === 'sha256' ? createHash('sha256') : gitHash((await stat(path)).size);
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
      throwIfAborted(signal);
      hash.update(chunk as Buffer);
    }
    return hash.digest('hex');
  } catch (error) {
    signal?.throwIfAborted();
    throw new SafelightError('FILE_NOT_FOUND', `${path} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Starts git's blob hash: SHA-1 of `blob SIZE`, a zero byte, and the content. */
function gitHash(size: number): Hash {
  return createHash('sha1').update(`blob ${size}\0`);
}
