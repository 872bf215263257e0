/** Packs a model's weights: converted once, kept on disk, mapped by every later load with the same storage. */
import { mkdir, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { requirements } from '../binding/module.js';
import type { StorageType, WeightPlan } from '../binding/types.js';
import { writeWeights } from '../binding/write-weights.js';
import { checkOpen, checkPath, checkWriting, openKeys } from '../checkpoint/check-open.js';
import {
  cleanPacked,
  contentHash,
  findPacked,
  identify,
  keyOf,
  listPacked,
  packedPath,
  removePackedFile,
} from '../checkpoint/formats/packed-cache.js';
import { layoutPacked, readPacked, writePackedHeader } from '../checkpoint/formats/packed-file.js';
import type { ComponentSource, OpenModelOptions } from '../checkpoint/model-descriptor.js';
import { storageTypes } from '../checkpoint/weights/storage.js';
import { invalidOption, SafelightError } from '../errors.js';
import { openModel } from '../families/registry.js';
import { writeLargeOutput } from '../files/write.js';
import { oneOf } from '../known-keys.js';
import { withWholeRows } from '../modules/whole-rows.js';

export interface PackOptions extends OpenModelOptions {
  /** How weights are kept; default as in their files. Loads find what was packed for the storage they ask for. */
  readonly storage?: StorageType;
  /** Reads everything again, model and packed weights, and compares it with what was written. */
  readonly verify?: boolean;
  /** Threads, 1 to 256; default one a physical core. */
  readonly threads?: number;
  /** Stops the packing; nothing half written is left behind. */
  readonly signal?: AbortSignal;
  /** Bytes written so far, and of all. What it throws stops the packing and is rethrown. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** The packed weights of one module. */
export interface PackedModule {
  /** Absolute path of the model. */
  readonly model: string;
  /** Such as `U-Net`. */
  readonly module: string;
  readonly storage: string | null;
  readonly file: string;
  readonly bytes: number;
  /** Written now, or valid from before; or of no use any more, as the model has changed. */
  readonly state: 'packed' | 'kept' | 'stale';
}

/**
 * Writes the weights of each module to the cache folder, where they are missing, and removes what is out of date there.
 * @returns the modules' files
 * @throws INVALID_OPTION, FILE_NOT_FOUND, FILE_NOT_WRITTEN, INVALID_FILE (with `verify`: what is damaged is removed), UNSUPPORTED_MODEL,
 *   MISSING_TENSOR, SHAPE_MISMATCH, BINARY_NOT_FOUND, ABORTED
 */
export async function packModel(path: string, options: PackOptions = {}): Promise<PackedModule[]> {
  checkOpen(path, options, [...openKeys, 'storage', 'verify', 'threads', 'signal', 'onProgress']);
  checkWriting(options);
  const { storage, verify = false, threads = 0, signal, onProgress, ...open } = options;
  if (storage !== undefined) oneOf('storage', storage, storageTypes);
  if (typeof verify !== 'boolean') throw invalidOption('verify', 'true or false', verify);
  if (!Number.isInteger(threads) || threads < 0 || threads > 256)
    throw invalidOption('threads', 'integer between 1 and 256', threads);
  const model = await openModel(path, open);
  await cleanPacked();
  const hashes = new Map<string, Promise<string>>();
  const hashOf = (file: string): Promise<string> => {
    const known = hashes.get(file) ?? contentHash(file, 0, signal);
    hashes.set(file, known);
    return known;
  };
  const modules = model.components.map((source) => ({
    source,
    plan: source.weights.plan(requirements(source.kind, { ...source.config }), storage),
  }));
  const total = modules.reduce((sum, { plan }) => sum + layoutPacked(plan, UNTOLD).size, 0);
  const done: PackedModule[] = [];
  let before = 0;
  for (const { source, plan } of modules) {
    const told = { model: model.path, module: source.label, storage: storage ?? null };
    const found = await findPacked(plan);
    const file = found?.files[0] ?? (await packOne(source, plan, told));
    const { header, size } = await readPacked(file);
    if (verify) await check(file, hashOf, signal);
    before += size;
    onProgress?.(before, total);
    done.push({
      model: header.model,
      module: header.module,
      storage: header.storage,
      file,
      bytes: size,
      state: found ? 'kept' : 'packed',
    });
  }
  return done;

  async function packOne(
    source: ComponentSource,
    plan: WeightPlan,
    told: { model: string; module: string; storage: string | null },
  ): Promise<string> {
    await source.weights.verify(plan.entries, signal);
    const files = await Promise.all(plan.files.map(identify));
    const key = keyOf(plan, files);
    const sources = await Promise.all(
      files.map(async (file) => ({ ...file, content: await hashOf(file.path) })),
    );
    const layout = layoutPacked(plan, { ...told, key, sources });
    const offsets = layout.header.entries.map(({ offset }) => offset);
    const target = packedPath(key);
    await makeFolder(dirname(target));
    await checkRoom(dirname(target), layout.size);
    await writeLargeOutput(target, async (handle, temporary) => {
      await handle.truncate(layout.size);
      const written = (bytes: number) => onProgress?.(before + bytes, total);
      await withWholeRows(plan, { threads, signal }, (whole) =>
        writeWeights({ path: temporary, plan: whole, offsets, threads }, { signal, onProgress: written }),
      );
      const content = await contentHash(temporary, layout.dataOffset, signal);
      await writePackedHeader(handle, { ...layout, header: { ...layout.header, content } });
    });
    // A model that changed while it was read: what was written fits neither its old nor its new form.
    if (keyOf(plan, await Promise.all(plan.files.map(identify))) !== key) {
      await removePackedFile(target);
      throw new SafelightError(
        'INVALID_FILE',
        `${source.weights.where} changed while it was packed; pack it again`,
      );
    }
    return target;
  }
}

const UNTOLD = { model: '', module: '', storage: null, key: '', sources: [] };

/** @throws INVALID_FILE where packed weights or the model are not, byte for byte, what they were; then they are removed */
async function check(
  file: string,
  hashOf: (path: string) => Promise<string>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { header, dataOffset } = await readPacked(file);
  let wrong = (await contentHash(file, dataOffset, signal)) === header.content ? undefined : file;
  for (const { path, content } of header.sources) if ((await hashOf(path)) !== content) wrong ??= path;
  if (wrong === undefined) return;
  await removePackedFile(file);
  throw new SafelightError(
    'INVALID_FILE',
    `${wrong} is not, byte for byte, what was packed; the packed ${header.module} was removed: ${
      wrong === file ? 'pack the model again' : 'check where the model came from, then pack it again'
    }`,
  );
}

/** What is packed, of a model or of all. */
export async function packedModules(path?: string): Promise<PackedModule[]> {
  if (path !== undefined) checkPath('model', path);
  const model = path === undefined ? undefined : resolve(path);
  const found = await listPacked();
  return found.flatMap(({ path: file, packed, fresh }) => {
    if (model !== undefined && packed?.header.model !== model) return [];
    const { model: of = '', module = 'damaged', storage = null } = packed?.header ?? {};
    return [
      {
        model: of,
        module,
        storage,
        file,
        bytes: packed?.size ?? 0,
        state: fresh ? 'kept' : 'stale',
      } as const,
    ];
  });
}

/** Removes what is packed, of a model or of all. @returns what was removed. @throws FILE_NOT_WRITTEN */
export async function removePacked(path?: string): Promise<PackedModule[]> {
  const found = await packedModules(path);
  for (const { file } of found) await removePackedFile(file);
  return found;
}

/** @throws FILE_NOT_WRITTEN where the disk is too full: before it is filled, not after */
async function checkRoom(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (bytes <= free) return;
  throw new SafelightError(
    'FILE_NOT_WRITTEN',
    `${bytes} bytes are to be packed, but ${folder} has room for ${free}; make some, or let SAFELIGHT_CACHE name another folder`,
  );
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw new SafelightError(
      'FILE_NOT_WRITTEN',
      `Cannot make the cache folder '${path}': ${(error as Error).message}; SAFELIGHT_CACHE names another`,
      { cause: error },
    );
  }
}
