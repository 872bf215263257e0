/**
 * The cache folder of packed weights. A file's name is the hash of everything that determines its content: path, size,
 * modification time and first bytes of every source file, and the plan (which tensors, transforms, storages). Outdated
 * files therefore never match.
 */
import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { PackedWeights, WeightPlan } from '../../binding/types.js';
import { SafelightError, throwIfAborted } from '../../errors.js';
import { fileError, openRegular, readFully } from '../../files/read.js';
import { removeFile } from '../../files/replace.js';
import {
  type PackedHeader,
  type PackedLayout,
  packedPlan,
  packedWeights,
  readPacked,
  type SourceFile,
} from './packed-file.js';

const EXTENSION = '.slpack';
/** Number of first bytes of a source file that are part of the key. */
const HEAD = 2 ** 20;
const PIECE = 2 ** 22;
/** Age in milliseconds after which an unfinished file is considered abandoned. */
const ABANDONED = 3600 * 1000;

/**
 * Returns `$SAFELIGHT_CACHE/packed`, else `$XDG_CACHE_HOME/safelight/packed`, else `~/.cache/safelight/packed`, on Windows
 * `%LOCALAPPDATA%\safelight\cache\packed`.
 */
export function packedFolder(env: NodeJS.ProcessEnv = process.env): string {
  const windows = process.platform === 'win32' && env.LOCALAPPDATA;
  const folder = windows
    ? join(windows, 'safelight', 'cache')
    : join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'safelight');
  const cache = env.SAFELIGHT_CACHE || folder;
  return join(cache, 'packed');
}

/** The part of a source file that determines the key. */
export type Identity = Omit<SourceFile, 'content'>;

/** @throws FILE_NOT_FOUND */
export async function identify(path: string): Promise<Identity> {
  try {
    const { size, mtimeNs } = await stat(path, { bigint: true });
    const { handle } = await openRegular(path);
    try {
      const head = new Uint8Array(Math.min(HEAD, Number(size)));
      await readFully(handle, head, 0, path);
      const hash = createHash('sha256').update(head).digest('hex');
      return { path, size: Number(size), modified: String(mtimeNs), head: hash };
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError(path, error);
  }
}

/** @param layout the precision and the instruction set of the products that weights are packed for, if they are */
export function keyOf(plan: WeightPlan, files: readonly Identity[], layout?: string): string {
  const facts = files.map(({ path, size, modified, head }) => [path, size, modified, head]);
  return createHash('sha256')
    .update(JSON.stringify([facts, plan.entries, ...(layout === undefined ? [] : [layout])]))
    .digest('hex');
}

export function packedPath(key: string): string {
  return join(packedFolder(), `${key}${EXTENSION}`);
}

/** Weights that were packed. */
export interface FoundPacked {
  /** Reads the parameters from the packed file. */
  readonly plan: WeightPlan;
  /** The weights in the layout of products, if the file has them. */
  readonly weights: PackedWeights | undefined;
}

/**
 * Returns the packed form of a plan's weights, if there is a valid one: that with weights in the layout `layout`, else one
 * without.
 */
export async function findPacked(plan: WeightPlan, layout?: string): Promise<FoundPacked | undefined> {
  if ((await packedFiles()).length === 0) return undefined;
  const files = await Promise.all(plan.files.map(identify)).catch(() => undefined);
  if (files === undefined) return undefined;
  for (const each of new Set([layout, undefined])) {
    try {
      const key = keyOf(plan, files, each);
      const path = packedPath(key);
      const packed = await readPacked(path);
      const found = packed.header.key === key ? packedPlan(path, packed, plan) : undefined;
      if (found) return { plan: found, weights: packedWeights(path, packed) };
    } catch {
      // Missing or damaged: the model's own files are used instead.
    }
  }
  return undefined;
}

/** One packed file. */
export interface PackedEntry {
  readonly path: string;
  /** Undefined if the file is damaged. */
  readonly packed: PackedLayout | undefined;
  /** True if the model's files have not changed since. */
  readonly fresh: boolean;
}

export async function listPacked(): Promise<PackedEntry[]> {
  return Promise.all(
    (await packedFiles()).map(async (path) => {
      const packed = await readPacked(path).catch(() => undefined);
      return { path, packed, fresh: packed !== undefined && (await isFresh(packed.header)) };
    }),
  );
}

/** Removes outdated files and files of abandoned writers. @returns the removed paths */
export async function cleanPacked(): Promise<string[]> {
  const stale = (await listPacked()).filter(({ fresh }) => !fresh).map(({ path }) => path);
  for (const name of await names()) {
    const path = join(packedFolder(), name);
    const age = name.endsWith('.tmp')
      ? Date.now() - ((await stat(path).catch(() => null))?.mtimeMs ?? Infinity)
      : 0;
    if (age > ABANDONED) stale.push(path);
  }
  for (const path of stale) await removePackedFile(path);
  return stale;
}

/** Removes one packed file. @throws FILE_NOT_WRITTEN */
export async function removePackedFile(path: string): Promise<void> {
  try {
    await removeFile(path, { force: true });
  } catch (error) {
    if (error instanceof SafelightError) throw error;
    throw new SafelightError('FILE_NOT_WRITTEN', `Cannot remove '${path}': ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/**
 * Returns the SHA-256 of a file's bytes from `start` on.
 * @throws FILE_NOT_FOUND, INVALID_FILE if the file shrinks, ABORTED
 */
export async function contentHash(path: string, start = 0, signal?: AbortSignal): Promise<string> {
  const { handle, size } = await openRegular(path);
  try {
    const hash = createHash('sha256');
    const piece = new Uint8Array(PIECE);
    for (let at = start; at < size; at += PIECE) {
      throwIfAborted(signal);
      const bytes = piece.subarray(0, Math.min(PIECE, size - at));
      await readFully(handle, bytes, at, path);
      hash.update(bytes);
    }
    return hash.digest('hex');
  } catch (error) {
    throw fileError(path, error);
  } finally {
    await handle.close();
  }
}

async function isFresh({ sources }: PackedHeader): Promise<boolean> {
  for (const { content: _, ...then } of sources) {
    const now = await identify(then.path).catch(() => undefined);
    if (now === undefined || keyOf(NOTHING, [now]) !== keyOf(NOTHING, [then])) return false;
  }
  return true;
}
const NOTHING: WeightPlan = { files: [], entries: [] };

async function packedFiles(): Promise<string[]> {
  return (await names()).filter((name) => name.endsWith(EXTENSION)).map((name) => join(packedFolder(), name));
}

/** Returns the names in the folder; empty if the folder or (in some containers) the home directory does not exist. */
async function names(): Promise<string[]> {
  try {
    return await readdir(packedFolder());
  } catch {
    return [];
  }
}
