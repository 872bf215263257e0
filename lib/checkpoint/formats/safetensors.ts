/**
 * Reads the header of a safetensors file, never its data. Model files are untrusted and C++ maps their data, so every
 * rule of the format is enforced here: a header of at most 100 MB that begins with `{`, UTF-8, no duplicate keys,
 * metadata of strings (or null), exact sizes without overflow, no gaps, no overlap, and the last tensor ends at the end
 * of the file.
 *
 * Format: https://github.com/huggingface/safetensors#format
 */
import { resolve } from 'node:path';
import { SafelightError } from '../../errors.js';
import { decodeUtf8, fileError, openRegular, readFully } from '../../files/read.js';
import { formatShape, type TensorInfo } from '../weights/tensor-index.js';
import { dtypeBits } from './dtypes.js';
import { JsonScanner } from './json-scanner.js';

const MAX_HEADER = 100_000_000;

export interface SafetensorsFile {
  /** Absolute path. */
  readonly path: string;
  /** Size of the file in bytes. */
  readonly size: number;
  /** `__metadata__`; empty if there is none. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

/** Reads and validates a file's header. @throws FILE_NOT_FOUND, INVALID_FILE */
export async function readSafetensors(path: string): Promise<SafetensorsFile> {
  const absolute = resolve(path);
  const { handle, size } = await openRegular(absolute);
  try {
    const prefix = Buffer.alloc(Math.min(8, size));
    await readFully(handle, prefix, 0, absolute);
    const header = new Uint8Array(headerLength(prefix, size, absolute));
    await readFully(handle, header, 8, absolute);
    return parseSafetensorsHeader(header, size, absolute);
  } catch (error) {
    throw fileError(absolute, error);
  } finally {
    await handle.close();
  }
}

/**
 * Parses and validates a header.
 * @param header the bytes of the JSON, without the 8 bytes of its length
 * @param size size of the file in bytes
 */
export function parseSafetensorsHeader(header: Uint8Array, size: number, path: string): SafetensorsFile {
  const fail = failure(path);
  if (header[0] !== 0x7b) fail('has a header that does not begin with "{"');
  const metadata = new Map<string, string>();
  const entries: Entry[] = [];
  const scanner = new JsonScanner(decodeUtf8(header, path), fail);
  scanner.object('the header', (key) => {
    if (key === '__metadata__') {
      // The reference parses an optional map, so some writers emit null.
      if (scanner.acceptNull()) return;
      scanner.object('__metadata__', (name) =>
        metadata.set(name, scanner.string(`__metadata__ ${JSON.stringify(name)}`)),
      );
    } else entries.push(readEntry(scanner, key, fail));
  });
  scanner.end();
  for (const entry of entries) checkSize(entry, fail);
  checkLayout(entries, size - 8 - header.length, fail);
  const base = 8 + header.length;
  const tensors = new Map<string, TensorInfo>();
  for (const { name, dtype, shape, begin, end } of entries) {
    tensors.set(name, { name, file: path, offset: base + begin, length: end - begin, dtype, shape });
  }
  return { path, size, metadata, tensors };
}

interface Entry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Offsets from the end of the header in bytes. */
  readonly begin: number;
  readonly end: number;
}

type Fail = (what: string) => never;

function failure(path: string): Fail {
  return (what) => {
    throw new SafelightError(
      'INVALID_FILE',
      `${path} ${what}; it is damaged or not a safetensors file: download it again`,
    );
  };
}

function headerLength(prefix: Buffer, size: number, path: string): number {
  const fail = failure(path);
  if (size < 8) fail(`has ${size} bytes, too few for a safetensors header`);
  const length = prefix.readBigUInt64LE(0);
  const hint = length > BigInt(MAX_HEADER) ? otherFormat(prefix) : null;
  if (hint !== null) throw new SafelightError('INVALID_FILE', `${path} is ${hint}`);
  if (length > BigInt(MAX_HEADER)) fail(`states a header of ${length} bytes, expected at most ${MAX_HEADER}`);
  if (length > BigInt(size - 8))
    fail(`states a header of ${length} bytes but has only ${size - 8} after its length`);
  return Number(length);
}

/** Recognizes other files by their first bytes, which would be an implausible header length. */
function otherFormat(prefix: Buffer): string | null {
  const text = prefix.toString('latin1');
  if (text.startsWith('GGUF')) return 'a GGUF file, not safetensors; use the model in safetensors format';
  if (text.startsWith('version '))
    return 'a Git LFS pointer, not the file itself; fetch it with "git lfs pull"';
  if (/^\s*<(!doc|html)/i.test(text))
    return 'a web page, not a model; the download failed: download it again';
  return null;
}

function readEntry(scanner: JsonScanner, name: string, fail: Fail): Entry {
  const quoted = JSON.stringify(name);
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  scanner.object(`tensor ${quoted}`, (key) => {
    if (key === 'dtype') dtype = scanner.string(`the dtype of ${quoted}`);
    else if (key === 'shape') shape = sizes(scanner, `the shape of ${quoted}`);
    else if (key === 'data_offsets') offsets = sizes(scanner, `the data_offsets of ${quoted}`);
    else scanner.skip(`tensor ${quoted}`);
  });
  if (dtype === undefined) return fail(`has no dtype for ${quoted}`);
  if (shape === undefined) return fail(`has no shape for ${quoted}`);
  if (offsets === undefined) return fail(`has no data_offsets for ${quoted}`);
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined || offsets.length !== 2)
    return fail(`has data_offsets of another length than two for ${quoted}`);
  if (end < begin) fail(`has data_offsets [${begin}, ${end}] for ${quoted}, which are in descending order`);
  return { name, dtype, shape, begin, end };
}

function sizes(scanner: JsonScanner, what: string): number[] {
  const values: number[] = [];
  scanner.array(what, () => values.push(scanner.size(what)));
  return values;
}

/** Checks that shape times element size equals the data range; a product above 2^53 cannot be a file size. */
function checkSize({ name, dtype, shape, begin, end }: Entry, fail: Fail): void {
  const quoted = JSON.stringify(name);
  const bits = dtypeBits(dtype);
  if (bits === undefined) {
    fail(
      `has the unknown dtype ${JSON.stringify(dtype.slice(0, 40))} for ${quoted}, whose size cannot be checked`,
    );
  }
  let total: number = bits;
  for (const side of shape) {
    total *= side;
    if (!Number.isSafeInteger(total))
      fail(`has the implausible shape ${formatShape(shape).slice(0, 200)} for ${quoted}`);
  }
  if (total % 8 !== 0) fail(`has ${total} bits for ${quoted}, expected a multiple of 8`);
  if (total / 8 !== end - begin) {
    fail(
      `has ${end - begin} bytes for ${quoted}, but ${dtype} ${formatShape(shape).slice(0, 200)} takes ${total / 8}`,
    );
  }
}

/** Checks that the sorted ranges cover the data without gap or overlap. */
function checkLayout(entries: readonly Entry[], dataLength: number, fail: Fail): void {
  const sorted = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let position = 0;
  for (const { name, begin, end } of sorted) {
    if (begin !== position) {
      fail(
        `has ${begin < position ? 'an overlap' : 'a gap'} before the data of ${JSON.stringify(name)} (at ${begin}, expected ${position})`,
      );
    }
    position = end;
  }
  if (position !== dataLength) {
    fail(
      `has ${dataLength} bytes of data but its tensors take ${position}${position > dataLength ? ' (truncated)' : ''}`,
    );
  }
}
