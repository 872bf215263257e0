/**
 * The folder of packed weights. A file's name is the hash of everything its content depends on: path, size, time of change and first bytes
 * of every file that weights are taken from, and the plan (which bytes, how converted, how kept). So what is out of date is never found.
 */
import { createHash } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { WeightPlan } from '../../binding/types.js';
import { SafelightError, throwIfAborted } from '../../errors.js';
import { fileError, openRegular, readFully } from '../../files/read.js';
import {
  type PackedHeader,
  type PackedLayout,
  packedPlan,
  readPacked,
  type SourceFile,
} from './packed-file.js';

const EXTENSION = '.slpack';
/** Of a file's beginning, so much is its header's part in the key. */
const HEAD = 2 ** 20;
const PIECE = 2 ** 22;
/** Milliseconds without a change after which a half-written file's writer is taken for dead. */
const ABANDONED = 3600 * 1000;

/** `$SAFELIGHT_CACHE/packed`, else `$XDG_CACHE_HOME/safelight/packed`, else `~/.cache/safelight/packed`. */
function packedFolder(env: NodeJS.ProcessEnv = process.env): string {
  const cache = env.SAFELIGHT_CACHE || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'safelight');
  return join(cache, 'packed');
}

/** A file as the key sees it. */
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

export function keyOf(plan: WeightPlan, files: readonly Identity[]): string {
  const facts = files.map(({ path, size, modified, head }) => [path, size, modified, head]);
  return createHash('sha256')
    .update(JSON.stringify([facts, plan.entries]))
    .digest('hex');
}

export function packedPath(key: string): string {
  return join(packedFolder(), `${key}${EXTENSION}`);
}

/** The plan that takes a plan's weights from their packed file, if there is one that is valid now. */
export async function findPacked(plan: WeightPlan): Promise<WeightPlan | undefined> {
  if ((await packedFiles()).length === 0) return undefined;
  try {
    const key = keyOf(plan, await Promise.all(plan.files.map(identify)));
    const path = packedPath(key);
    const packed = await readPacked(path);
    return packed.header.key === key ? packedPlan(path, packed, plan) : undefined;
  } catch {
    return undefined; // not there, or damaged: the model's own files are as good
  }
}

/** One packed file. */
export interface PackedEntry {
  readonly path: string;
  /** Undefined where the file is damaged. */
  readonly packed: PackedLayout | undefined;
  /** Whether the model's files are still as they were. */
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

/** Removes what no load will ever find again, and what writers that died left behind. @returns paths */
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

/** @throws FILE_NOT_WRITTEN */
export async function removePackedFile(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
  } catch (error) {
    throw new SafelightError('FILE_NOT_WRITTEN', `Cannot remove '${path}': ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** SHA-256 of a file's bytes from `start` on. @throws FILE_NOT_FOUND, INVALID_FILE (it shrank), ABORTED */
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

/** Of everything in the folder; none where there is no folder (nor, in some containers, a home where it could be). */
async function names(): Promise<string[]> {
  try {
    return await readdir(packedFolder());
  } catch {
    return [];
  }
}
