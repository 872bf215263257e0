/**
 * Packing of a model's weights: they are converted once, stored in the cache folder, and memory-mapped by later loads
 * with the same storage.
 */
import { mkdir, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { NativeModule, requirements } from '../binding/module.js';
import { packedLayout, productsOf } from '../binding/products.js';
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
import {
  layoutPacked,
  type PackedLayout,
  packedPlan,
  readPacked,
  withPacked,
  writePackedHeader,
} from '../checkpoint/formats/packed-file.js';
import type { ComponentSource, OpenModelOptions } from '../checkpoint/model-descriptor.js';
import { storageTypes } from '../checkpoint/weights/storage.js';
import { defined } from '../defined.js';
import { invalidOption, SafelightError } from '../errors.js';
import { openModel } from '../families/registry.js';
import { writeLargeOutput } from '../files/write.js';
import { oneOf } from '../known-keys.js';
import { type Precision, precisions } from '../modules/module-options.js';
import { withRowBlocks } from '../modules/row-blocks.js';

export interface PackOptions extends OpenModelOptions {
  /** Storage of the weights; default as in their files. Packed weights are used by loads with the same storage. */
  readonly storage?: StorageType;
  /**
   * Also stores the weights in the layout of the CPU's products in this precision, for loads with the same precision on a
   * processor with the same instruction set; the file is then about twice as large. Default `f32`, which needs none.
   */
  readonly precision?: Precision;
  /** Reads the model and the packed weights again and compares them with their checksums. Default false. */
  readonly verify?: boolean;
  /** CPU threads, 1 to 256; default one per physical core. */
  readonly threads?: number;
  /** Aborts packing and removes the partial file. */
  readonly signal?: AbortSignal;
  /** Receives the bytes written so far and in total. An error that it throws stops packing and is rethrown. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** The packed weights of one module. */
export interface PackedModule {
  /** Absolute path of the model. */
  readonly model: string;
  /** Label such as `U-Net`. */
  readonly module: string;
  /** Requested storage; null for that of the model's files. */
  readonly storage: string | null;
  /** Precision of the products whose layout is stored; null for none. */
  readonly precision: string | null;
  /** Path of the packed file. */
  readonly file: string;
  /** Size of the packed file. */
  readonly bytes: number;
  /**
   * `packed`: written by this call; `kept`: valid from an earlier one; `stale`: unusable because the model has
   * changed.
   */
  readonly state: 'packed' | 'kept' | 'stale';
}

/**
 * Writes the weights of each module to the cache folder unless they are packed already, and removes stale files
 * there.
 * @returns the packed modules
 * @throws INVALID_OPTION, FILE_NOT_FOUND, FILE_NOT_WRITTEN, INVALID_FILE (with `verify`; damaged files are removed),
 *   UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH, BINARY_NOT_FOUND, ABORTED
 */
export async function packModel(path: string, options: PackOptions = {}): Promise<PackedModule[]> {
  checkOpen(path, options, [
    ...openKeys,
    'storage',
    'precision',
    'verify',
    'threads',
    'signal',
    'onProgress',
  ]);
  checkWriting(options);
  const { storage, precision = 'f32', verify = false, threads = 0, signal, onProgress, ...open } = options;
  if (storage !== undefined) oneOf('storage', storage, storageTypes);
  oneOf('precision', precision, precisions);
  const products = productsOf(precision, 'cpu');
  const productLayout = packedLayout(products);
  if (typeof verify !== 'boolean') throw invalidOption('verify', 'true or false', verify);
  if (!Number.isInteger(threads) || threads < 0 || threads > 256)
    throw invalidOption('threads', 'an integer between 1 and 256', threads);
  const model = await openModel(path, open);
  await cleanPacked();
  const hashes = new Map<string, Promise<string>>();
  const hashOf = (file: string): Promise<string> => {
    const hash = hashes.get(file) ?? contentHash(file, 0, signal);
    hashes.set(file, hash);
    return hash;
  };
  const modules = model.components.map((source) => ({
    source,
    plan: source.weights.plan(requirements(source.kind, { ...source.config }), storage),
  }));
  const total = modules.reduce((sum, { plan }) => sum + layoutPacked(plan, EMPTY_HEADER).size, 0);
  const done: PackedModule[] = [];
  let before = 0;
  for (const { source, plan } of modules) {
    const origin = { model: model.path, module: source.label, storage: storage ?? null };
    const existing = await findPacked(plan, productLayout);
    const usable = existing && (productLayout === undefined || existing.weights) ? existing : undefined;
    const file = usable?.plan.files[0] ?? (await packModule(source, plan, origin));
    const { header, size } = await readPacked(file);
    if (verify) await check(file, hashOf, signal);
    before += size;
    onProgress?.(before, total);
    done.push({
      model: header.model,
      module: header.module,
      storage: header.storage,
      precision: header.precision ?? null,
      file,
      bytes: size,
      state: usable ? 'kept' : 'packed',
    });
  }
  return done;

  async function packModule(
    source: ComponentSource,
    plan: WeightPlan,
    origin: { model: string; module: string; storage: string | null },
  ): Promise<string> {
    await source.weights.verify(plan.entries, signal);
    const files = await Promise.all(plan.files.map(identify));
    const key = keyOf(plan, files, productLayout);
    const sources = await Promise.all(
      files.map(async (file) => ({ ...file, content: await hashOf(file.path) })),
    );
    let layout = layoutPacked(plan, {
      ...{ ...origin, key, sources },
      ...(products === 'f32' ? {} : { precision: products }),
    });
    const offsets = layout.header.entries.map(({ offset }) => offset);
    const target = packedPath(key);
    await makeFolder(dirname(target));
    await checkFreeSpace(dirname(target), layout.size * (products === 'f32' ? 1 : 2));
    await writeLargeOutput(target, async (handle, temporary) => {
      await handle.truncate(layout.size);
      const written = (bytes: number) => onProgress?.(before + bytes, total);
      await withRowBlocks(plan, { threads, signal }, (blockPlan) =>
        writeWeights({ path: temporary, plan: blockPlan, offsets, threads }, { signal, onProgress: written }),
      );
      if (products !== 'f32') layout = await packProducts(source, plan, layout, temporary);
      const content = await contentHash(temporary, layout.dataOffset, signal);
      await writePackedHeader(handle, { ...layout, header: { ...layout.header, content } });
    });
    // If the model changed while it was read, the packed file matches neither version.
    if (keyOf(plan, await Promise.all(plan.files.map(identify)), productLayout) !== key) {
      await removePackedFile(target);
      throw new SafelightError(
        'INVALID_FILE',
        `${source.weights.where} changed during packing; pack the model again`,
      );
    }
    return target;
  }

  /** Appends the weights in the layout of the products to a file of a plan's parameters. */
  async function packProducts(
    { kind, config }: ComponentSource,
    plan: WeightPlan,
    layout: PackedLayout,
    path: string,
  ): Promise<PackedLayout> {
    const from = packedPlan(path, layout, plan)!;
    const how = {
      backend: 'cpu',
      threads,
      precision: products,
      packWeights: true,
      mapWeights: true,
    } as const;
    await using module = await NativeModule.create(kind, { ...config }, from, defined({ ...how, signal }));
    return withPacked(layout, await module.writePacked(path, layout.size, signal));
  }
}

const EMPTY_HEADER = { model: '', module: '', storage: null, key: '', sources: [] };

/**
 * Compares packed weights and their sources with their checksums.
 * @throws INVALID_FILE on a mismatch, after removing the packed file
 */
async function check(
  file: string,
  hashOf: (path: string) => Promise<string>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { header, dataOffset } = await readPacked(file);
  let damaged = (await contentHash(file, dataOffset, signal)) === header.content ? undefined : file;
  for (const { path, content } of header.sources) if ((await hashOf(path)) !== content) damaged ??= path;
  if (damaged === undefined) return;
  await removePackedFile(file);
  throw new SafelightError(
    'INVALID_FILE',
    `The checksum of ${damaged} does not match; the packed ${header.module} was removed: ${
      damaged === file ? 'pack the model again' : 'check the source of the model, then pack it again'
    }`,
  );
}

/** Lists the packed modules of a model, by default of all models. @throws INVALID_OPTION */
export async function packedModules(path?: string): Promise<PackedModule[]> {
  if (path !== undefined) checkPath('model', path);
  const model = path === undefined ? undefined : resolve(path);
  const files = await listPacked();
  return files.flatMap(({ path: file, packed, fresh }) => {
    if (model !== undefined && packed?.header.model !== model) return [];
    const {
      model: modelPath = '',
      module = 'damaged',
      storage = null,
      precision = null,
    } = packed?.header ?? {};
    return [
      {
        model: modelPath,
        module,
        storage,
        precision,
        file,
        bytes: packed?.size ?? 0,
        state: fresh ? 'kept' : 'stale',
      } as const,
    ];
  });
}

/**
 * Removes the packed modules of a model, by default of all models.
 * @returns the removed modules.
 * @throws INVALID_OPTION, FILE_NOT_WRITTEN
 */
export async function removePacked(path?: string): Promise<PackedModule[]> {
  const modules = await packedModules(path);
  for (const { file } of modules) await removePackedFile(file);
  return modules;
}

/** Checks before writing that the disk has enough free space. @throws FILE_NOT_WRITTEN */
async function checkFreeSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (bytes <= free) return;
  throw new SafelightError(
    'FILE_NOT_WRITTEN',
    `Packing needs ${bytes} bytes, but ${folder} has only ${free} bytes free; free some space or set SAFELIGHT_CACHE to another folder`,
  );
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw new SafelightError(
      'FILE_NOT_WRITTEN',
      `Could not create the cache folder '${path}': ${(error as Error).message}; set SAFELIGHT_CACHE to another folder`,
      { cause: error },
    );
  }
}
