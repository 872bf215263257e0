/**
 * The format of `torch.save` before PyTorch 1.6: five pickles (magic number, protocol, system info, the object, the
 * storage keys), then each storage in the order of the keys, preceded by its number of elements.
 */
import type { FileHandle } from 'node:fs/promises';
import { readFully } from '../../../files/read.js';
import { bigEndian, type Checkpoint, failure, MAX_PICKLE } from './checkpoint.js';
import { elementSize } from './dtypes.js';
import { refuseModule } from './globals.js';
import { PickleBudget, type PickleWorld } from './machine.js';
import { storageId } from './operations.js';
import { unpickle } from './unpickle.js';
import { Dict, type Fail, type PickleValue, Storage, Tuple } from './values.js';

/** `0x1950a86a20f9469cfc6c` as the end of a pickle of protocol 2 or later. */
export const LEGACY_MAGIC = Buffer.from('8a0a6cfc9c46f9206aa850192e', 'hex');
const PROTOCOL = 1001;

interface Source {
  readonly handle: FileHandle;
  readonly size: number;
  readonly path: string;
  readonly fail: Fail;
}

/** A storage as declared in the pickle. */
interface DeclaredStorage {
  readonly elementSize: number;
  readonly count: number;
}

/** @throws INVALID_FILE, UNSUPPORTED_MODEL */
export async function readLegacyForm(handle: FileHandle, size: number, path: string): Promise<Checkpoint> {
  const fail = failure(path);
  const bytes = Buffer.alloc(Math.min(size, MAX_PICKLE));
  await readFully(handle, bytes, 0, path);
  const declared = new Map<string, DeclaredStorage>();
  const storage = (id: readonly PickleValue[], why: Fail): Storage => storageOf(id, declared, why);
  const world: PickleWorld = { path, fail, budget: new PickleBudget(), storage };
  let at = 0;
  const next = (): PickleValue => {
    const { value, end } = unpickle(bytes, at, world);
    at = end;
    return value;
  };
  next();
  if (next() !== PROTOCOL) fail(`has another version of PyTorch's legacy format than ${PROTOCOL}`);
  const machine = next();
  if (machine instanceof Dict && machine.entries.get('little_endian') === false) throw bigEndian(path);
  const root = next();
  refuseModule(root, path);
  const keys = next();
  const places = await findData({ handle, size, path, fail }, at, keys, declared);
  const offsetOf = ({ key, begin }: Storage): number =>
    (places.get(key) ?? fail(`has no data for the storage ${JSON.stringify(key)}`)) + begin;
  return { root, offsetOf, checksum: () => undefined };
}

/**
 * Parses `('storage', class, key, location, elements, view)`, where a view of another storage is `(key, offset,
 * elements)`.
 */
function storageOf(id: readonly PickleValue[], declared: Map<string, DeclaredStorage>, fail: Fail): Storage {
  const { dtype, key, count, counts } = storageId(id, fail);
  if (counts === 'unknown') return fail('has a storage of unknown type');
  const size = dtype === null ? 1 : elementSize(dtype);
  const before = declared.get(key);
  if (before !== undefined && (before.count !== count || before.elementSize !== size))
    return fail('declares a storage with two sizes');
  declared.set(key, { elementSize: size, count });
  const view = id[5];
  if (!(view instanceof Tuple)) return new Storage(key, dtype, count * size);
  const [, offset, length] = view.items;
  if (
    typeof offset !== 'number' ||
    typeof length !== 'number' ||
    !(offset >= 0 && length >= 0 && offset + length <= count)
  )
    return fail('has a view that exceeds its storage');
  return new Storage(key, dtype, length * size, offset * size);
}

/** Reads the storage headers after the keys. @returns absolute offsets by key */
async function findData(
  { handle, size, path, fail }: Source,
  begin: number,
  keys: PickleValue,
  declared: ReadonlyMap<string, DeclaredStorage>,
): Promise<Map<string, number>> {
  const places = new Map<string, number>();
  if (!Array.isArray(keys)) return fail('has no list of storages');
  const header = Buffer.alloc(8);
  let at = begin;
  for (const key of keys) {
    const storage = typeof key === 'string' ? declared.get(key) : undefined;
    if (typeof key !== 'string' || storage === undefined || places.has(key))
      return fail('lists an unused or duplicate storage');
    if (at + 8 > size) fail('ends before its last storage (truncated)');
    await readFully(handle, header, at, path);
    if (header.readBigInt64LE(0) !== BigInt(storage.count))
      fail(`has a storage of ${header.readBigInt64LE(0)} elements, expected ${storage.count}`);
    places.set(key, at + 8);
    at += 8 + storage.count * storage.elementSize;
    if (at > size) fail('ends in the middle of a storage (truncated)');
  }
  return places;
}
