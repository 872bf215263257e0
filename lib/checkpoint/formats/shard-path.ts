/**
 * Resolves the path of a shard that an index names. The index is untrusted, so its names may only refer to files in its
 * folder or below. An index cannot create symbolic links, so links are the work of whoever filled the folder. They may
 * lead
 * - anywhere within the folder,
 * - into the Hugging Face cache: `snapshots/COMMIT/unet/NAME` is a link to `blobs/ETAG`, in the cache itself or in a
 *   folder of
 *   `huggingface-cli download --local-dir`,
 * - anywhere, from a folder in which all weights are links. Any other link out of the folder is rejected.
 */
import { lstat, readdir, realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, parse, resolve, sep } from 'node:path';
import { SafelightError } from '../../errors.js';
import { fileError } from '../../files/read.js';

const WEIGHTS = /\.(?:safetensors|bin|pt|pth|ckpt|gguf|sft)$/i;

/**
 * @param index absolute path of the index
 * @param shard file name in the index
 * @returns the shard's path with links not resolved
 * @throws INVALID_FILE for a name or a link that leads out of the folder, FILE_NOT_FOUND
 */
export async function shardPath(index: string, shard: string): Promise<string> {
  const refuse = (why: string): never => {
    throw new SafelightError(
      'INVALID_FILE',
      `${index} names ${JSON.stringify(shard.slice(0, 200))}, which ${why}; shards must be in the folder of their index`,
    );
  };
  if (shard === '' || shard.includes('\0')) refuse('is not a file name');
  if (isAbsolute(shard) || /^[A-Za-z]:/.test(shard) || shard.includes('\\'))
    refuse('is not a relative path with forward slashes');
  if (shard.split('/').includes('..')) refuse('leads out of its folder');
  const path = resolve(dirname(index), shard);
  try {
    const folder = await realpath(dirname(index));
    const target = await realpath(path);
    if (isBelow(folder, target)) return path;
    const cache = cacheRepository(folder);
    const allowed =
      cache === null
        ? isBlob(target) || (await isFolderOfLinks(dirname(path)))
        : await isInCache(cache, target);
    if (!allowed)
      refuse(
        cache === null
          ? `is a link out of its folder (to ${target})`
          : `is a link out of the cache (to ${target})`,
      );
    return path;
  } catch (error) {
    throw fileError(path, error);
  }
}

function isBelow(folder: string, path: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

/** Returns `CACHE/models--OWNER--NAME` of a path below `CACHE/models--OWNER--NAME/snapshots`; null for other paths. */
function cacheRepository(path: string): string | null {
  const { root } = parse(path);
  for (let inner = path; inner !== root; inner = dirname(inner)) {
    const outer = dirname(inner);
    if (inner.endsWith(`${sep}snapshots`) && isRepository(outer)) return outer;
  }
  return null;
}

function isRepository(folder: string): boolean {
  return /^(?:models|datasets|spaces)--/.test(folder.slice(folder.lastIndexOf(sep) + 1));
}

/** Returns true for a blob of the cache, `models--OWNER--NAME/blobs/ETAG`. */
function isBlob(path: string): boolean {
  const folder = dirname(path);
  return folder.endsWith(`${sep}blobs`) && isRepository(dirname(folder));
}

/** Returns true within the repository's folder, or its folder of blobs, which may be a link to another disk. */
async function isInCache(repository: string, target: string): Promise<boolean> {
  const blobs = await realpath(join(repository, 'blobs')).catch(() => null);
  return isBelow(dirname(repository), target) || (blobs !== null && isBelow(blobs, target));
}

/** Returns true if all weights in a folder are links, so that it was assembled from files stored elsewhere. */
async function isFolderOfLinks(folder: string): Promise<boolean> {
  for (const name of await readdir(folder)) {
    if (WEIGHTS.test(name) && !(await lstat(join(folder, name))).isSymbolicLink()) return false;
  }
  return true;
}
