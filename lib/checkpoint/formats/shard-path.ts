/**
 * Where a shard that an index names lies. The index comes from a stranger, so its names may only lead down from its own folder. Symbolic
 * links are another matter: an index cannot make one, so they are the work of whoever filled the folder. They may lead
 * - anywhere within the folder,
 * - to the Hugging Face cache: `snapshots/COMMIT/unet/NAME` is a link to `blobs/ETAG`, in the cache itself or in a folder that
 *   `huggingface-cli download --local-dir` made,
 * - anywhere, from a folder of links, all of whose weights are links to where they are stored.
 * A single link among files of a folder that is none of these is refused.
 */
import { lstat, readdir, realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, parse, resolve, sep } from 'node:path';
import { SafelightError } from '../../errors.js';
import { fileError } from '../../files/read.js';

const WEIGHTS = /\.(?:safetensors|bin|pt|pth|ckpt|gguf|sft)$/i;

/**
 * @param index absolute path of the index
 * @param shard the file's name in it
 * @returns the shard's path as it is named, links not followed
 * @throws INVALID_FILE for a name or a link that leads out, FILE_NOT_FOUND
 */
export async function shardPath(index: string, shard: string): Promise<string> {
  const refuse = (why: string): never => {
    throw new SafelightError(
      'INVALID_FILE',
      `${index} names ${JSON.stringify(shard.slice(0, 200))}, which ${why}; a shard has to lie beside its index`,
    );
  };
  if (shard === '' || shard.includes('\0')) refuse('is no file name');
  if (isAbsolute(shard) || /^[A-Za-z]:/.test(shard) || shard.includes('\\'))
    refuse('is no relative path with plain slashes');
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

/** `CACHE/models--OWNER--NAME` of a path below `CACHE/models--OWNER--NAME/snapshots`; null for any other. */
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

/** Whether a file is one of a cache's blobs, `models--OWNER--NAME/blobs/ETAG`. */
function isBlob(path: string): boolean {
  const folder = dirname(path);
  return folder.endsWith(`${sep}blobs`) && isRepository(dirname(folder));
}

/** The cache's folder, or that of the repository's blobs, which may be a link to another disk. */
async function isInCache(repository: string, target: string): Promise<boolean> {
  const blobs = await realpath(join(repository, 'blobs')).catch(() => null);
  return isBelow(dirname(repository), target) || (blobs !== null && isBelow(blobs, target));
}

/** Whether all weights in a folder are links: it was made of files that are stored elsewhere. */
async function isFolderOfLinks(folder: string): Promise<boolean> {
  for (const name of await readdir(folder)) {
    if (WEIGHTS.test(name) && !(await lstat(join(folder, name))).isSymbolicLink()) return false;
  }
  return true;
}
