/**
 * The format of `torch.save` since PyTorch 1.6: a zip archive with `data.pkl` and one stored entry per storage,
 * `data/KEY`.
 */
import type { FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { inflateRaw } from 'node:zlib';
import { SafelightError } from '../../../errors.js';
import { readFully } from '../../../files/read.js';
import { crc32 } from '../crc.js';
import { bigEndian, type Checkpoint, failure, MAX_PICKLE } from './checkpoint.js';
import { elementSize } from './dtypes.js';
import { PickleBudget } from './machine.js';
import { storageId } from './operations.js';
import { unpickle } from './unpickle.js';
import { type Fail, type PickleValue, Storage } from './values.js';
import { readZip, type ZipEntry } from './zip.js';

const PICKLE = '/data.pkl';

/** @throws INVALID_FILE, UNSUPPORTED_MODEL */
export async function readZipForm(handle: FileHandle, size: number, path: string): Promise<Checkpoint> {
  const fail = failure(path);
  const entries = await readZip(handle, size, path, fail);
  const root = rootOf(entries, path);
  const content = (entry: ZipEntry): Promise<Uint8Array> => readEntry(handle, entry, path, fail);
  const order = entries.get(`${root}/byteorder`);
  const orderName = order === undefined ? 'little' : Buffer.from(await content(order)).toString('latin1');
  if (orderName.trim() === 'big') throw bigEndian(path);
  const pickle = entries.get(root + PICKLE);
  if (pickle === undefined) return fail('has no data.pkl');
  const used = new Map<string, ZipEntry>();
  const storage = (id: readonly PickleValue[], why: Fail): Storage => {
    const { dtype, key, count, counts } = storageId(id, why);
    const entry = entries.get(`${root}/data/${key}`);
    if (entry === undefined) return why(`has no entry for the storage ${JSON.stringify(key)}`);
    if (entry.deflated) throw compressed(path);
    // The length of an untyped storage is its number of bytes.
    const bytes = counts === 'unknown' ? entry.size : count * (dtype === null ? 1 : elementSize(dtype));
    if (bytes > entry.size) return why(`has ${entry.size} bytes for a storage of ${bytes}`);
    used.set(key, entry);
    return new Storage(key, dtype, bytes);
  };
  const { value } = unpickle(await content(pickle), 0, { path, fail, budget: new PickleBudget(), storage });
  const entryOf = ({ key }: Storage): ZipEntry => used.get(key) ?? fail('lacks a storage');
  return {
    root: value,
    offsetOf: (storage) => entryOf(storage).offset + storage.begin,
    checksum: (storage) => {
      const { offset, packed, crc } = entryOf(storage);
      return { offset, length: packed, crc };
    },
  };
}

/** Returns the root folder of the archive, which is named after the file at the time of saving. */
function rootOf(entries: ReadonlyMap<string, ZipEntry>, path: string): string {
  const candidates = [...entries.keys()].filter((name) => /^[^/]*\/data\.pkl$/.test(name));
  if ([...entries.keys()].some((name) => /^[^/]*\/(constants\.pkl|code\/)/.test(name))) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} is a TorchScript archive (a program), not a checkpoint of weights; use the model's state dict`,
    );
  }
  const [name] = candidates;
  if (name === undefined || candidates.length > 1) {
    throw new SafelightError(
      'INVALID_FILE',
      `${path} is a zip archive but not a PyTorch checkpoint (${candidates.length === 0 ? 'it has no data.pkl' : 'it has several data.pkl'}); unpack it if it contains a model`,
    );
  }
  return name.slice(0, -PICKLE.length);
}

/** Reads and verifies a small entry, usually the pickle, which is compressed in repacked archives. */
async function readEntry(handle: FileHandle, entry: ZipEntry, path: string, fail: Fail): Promise<Uint8Array> {
  const { name, size, packed, offset, crc } = entry;
  const shown = JSON.stringify(name.slice(0, 100));
  if (size > MAX_PICKLE || packed > MAX_PICKLE)
    fail(`has ${Math.max(size, packed)} bytes in ${shown}, expected at most ${MAX_PICKLE}`);
  const bytes = new Uint8Array(packed);
  await readFully(handle, bytes, offset, path);
  const content = entry.deflated ? await inflated(bytes, entry, fail) : bytes;
  if (crc32(content) !== crc) fail(`has a wrong checksum for ${shown}`);
  return content;
}

/** Inflates an entry, at most to the size that the directory states. */
async function inflated(bytes: Uint8Array, { name, size }: ZipEntry, fail: Fail): Promise<Uint8Array> {
  const shown = JSON.stringify(name.slice(0, 100));
  try {
    const content = await promisify(inflateRaw)(bytes, { maxOutputLength: Math.max(1, size) });
    return content.length === size
      ? content
      : fail(`has another size for ${shown} than its directory states`);
  } catch (error) {
    if (error instanceof SafelightError) throw error;
    return fail(`cannot be unpacked (${shown}: ${(error as Error).message})`);
  }
}

function compressed(path: string): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `${path} contains compressed tensors, which torch.save does not write; save it again with torch.save, or as safetensors`,
  );
}
