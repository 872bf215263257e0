/**
 * Reads the header of a GGUF file (versions 2 and 3, little-endian), never its data. Nothing it says is believed before it is checked:
 * counts against the bytes there are, names and keys unique, shapes without overflow, rows of whole blocks, offsets aligned, in order
 * and without overlap, and the data inside the file. Written by stable-diffusion.cpp, a file has no metadata and names of up to 83
 * bytes, where the format's text allows 64. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { resolve } from 'node:path';
import { SafelightError } from '../../errors.js';
import { fileError, openRegular, readFully } from '../../files/read.js';
import { formatShape, type TensorInfo } from '../weights/tensor-index.js';
import { type Fail, GgufCursor, NeedMoreBytes } from './gguf-cursor.js';
import { type GgufMetadata, readMetadata } from './gguf-metadata.js';
import { type GgufType, ggufType } from './gguf-types.js';

/** As for safetensors: no honest header comes near, and it bounds the memory of a hostile one. */
const MAX_HEADER = 100_000_000;
const FIRST_READ = 1 << 20;
const MAX_TENSORS = 1_000_000;
const MAX_NAME = 255;
const MAX_DIMENSIONS = 4;
/** Video models have five dimensions. */
const MAX_ORIGINAL = 8;
const DEFAULT_ALIGNMENT = 32;
const MAX_ALIGNMENT = 1 << 20;
/** Bytes of the smallest entry: an empty name, one dimension, a type and an offset. */
const MIN_TENSOR = 8 + 4 + 8 + 4 + 8;
const MIN_KEY_VALUE = 8 + 4 + 1;

export interface GgufFile {
  /** Absolute path. */
  readonly path: string;
  /** Bytes of the whole file. */
  readonly size: number;
  readonly version: number;
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

function isGguf(start: Uint8Array): boolean {
  return start[0] === 0x47 && start[1] === 0x47 && start[2] === 0x55 && start[3] === 0x46;
}

/** Whether a file begins as GGUF does. @throws FILE_NOT_FOUND */
export async function isGgufFile(path: string): Promise<boolean> {
  const { handle, size } = await openRegular(path);
  try {
    const bytes = new Uint8Array(Math.min(4, size));
    await readFully(handle, bytes, 0, path);
    return isGguf(bytes);
  } catch (error) {
    throw fileError(path, error);
  } finally {
    await handle.close();
  }
}

/** Reads and checks a file's header. FILE_NOT_FOUND if it cannot be read, INVALID_FILE if it breaks a rule. */
export async function readGguf(path: string): Promise<GgufFile> {
  const absolute = resolve(path);
  const { handle, size } = await openRegular(absolute);
  try {
    // Headers do not say how long they are: more is read until the parser comes to its end.
    for (let length = FIRST_READ; ; length *= 4) {
      const bytes = new Uint8Array(Math.min(length, size, MAX_HEADER));
      await readFully(handle, bytes, 0, absolute);
      try {
        return parseGgufHeader(bytes, size, absolute);
      } catch (error) {
        if (!(error instanceof NeedMoreBytes)) throw error;
        if (bytes.length === MAX_HEADER) failure(absolute)(`has a header of more than ${MAX_HEADER} bytes`);
      }
    }
  } catch (error) {
    throw fileError(absolute, error);
  } finally {
    await handle.close();
  }
}

/**
 * Checks a header.
 * @param bytes the file's beginning
 * @param size bytes of the whole file
 * @throws NeedMoreBytes if the header is longer than `bytes`, INVALID_FILE
 */
export function parseGgufHeader(bytes: Uint8Array, size: number, path: string): GgufFile {
  const cursor = new GgufCursor(bytes, size, failure(path));
  const { fail } = cursor;
  if (!isGguf(bytes.subarray(cursor.skip(4, 'its first four bytes')))) fail('does not begin with "GGUF"');
  const version = cursor.u32('its version');
  if (version !== 2 && version !== 3) throw wrongVersion(version, path);
  const tensorCount = cursor.count('the number of tensors', MIN_TENSOR, MAX_TENSORS);
  const keyCount = cursor.count('the number of metadata keys', MIN_KEY_VALUE);
  const metadata = readMetadata(cursor, keyCount);
  const alignment = alignmentOf(metadata, fail);
  const entries: Entry[] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensorCount; i++) {
    const entry = readEntry(cursor, i, alignment);
    if (names.has(entry.name)) fail(`has the tensor ${JSON.stringify(entry.name)} twice`);
    names.add(entry.name);
    entries.push(entry);
  }
  const base = aligned(cursor.position, alignment);
  checkLayout(entries, size - base, fail);
  const tensors = new Map<string, TensorInfo>();
  for (const { name, type, shape, offset, length } of entries) {
    const own = originalShape(metadata, name, shape, fail);
    tensors.set(name, { name, file: path, offset: base + offset, length, dtype: type.name, shape: own });
  }
  return { path, size, version, metadata, tensors };
}

interface Entry {
  readonly name: string;
  readonly type: GgufType;
  /** PyTorch's order. */
  readonly shape: readonly number[];
  /** From the beginning of the data. */
  readonly offset: number;
  readonly length: number;
}

function failure(path: string): Fail {
  return (what) => {
    throw new SafelightError(
      'INVALID_FILE',
      `${path} ${what}; it is damaged or no GGUF file: download it again`,
    );
  };
}

function wrongVersion(version: number, path: string): SafelightError {
  if (version === 0x02000000 || version === 0x03000000) {
    return new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} is a big-endian GGUF file; take the little-endian one`,
    );
  }
  return new SafelightError(
    version === 1 ? 'UNSUPPORTED_MODEL' : 'INVALID_FILE',
    `${path} is GGUF of version ${version}, where 2 and 3 are read; convert the model again with a current tool`,
  );
}

/**
 * ComfyUI-GGUF lays tensors whose rows are no whole blocks out as rows of 256, and notes what they were. The numbers and their order
 * are the same.
 */
function originalShape(
  metadata: GgufMetadata,
  name: string,
  shape: readonly number[],
  fail: Fail,
): readonly number[] {
  const given = metadata.get(`comfy.gguf.orig_shape.${name}`);
  if (given === undefined) return shape;
  const values = given.type === 'array' ? given.values : undefined;
  const product = (sides: readonly number[]): number => sides.reduce((all, side) => all * side, 1);
  if (
    values === undefined ||
    values.length === 0 ||
    values.length > MAX_ORIGINAL ||
    values.some((side) => side < 1)
  )
    return fail(`has no shape for comfy.gguf.orig_shape of ${JSON.stringify(name)}`);
  if (product(values) !== product(shape))
    return fail(
      `gives ${JSON.stringify(name)} the original shape ${formatShape(values)}, which has other numbers than ${formatShape(shape)}`,
    );
  return values;
}

/** `general.alignment`: of all data, a power of two of at least 8 as the format has it. */
function alignmentOf(metadata: GgufMetadata, fail: Fail): number {
  const given = metadata.get('general.alignment');
  if (given === undefined) return DEFAULT_ALIGNMENT;
  if (given.type !== 'uint32')
    return fail(`has a general.alignment of type ${given.type}, where uint32 belongs`);
  const value = Number(given.value);
  if (value < 8 || value > MAX_ALIGNMENT || (value & (value - 1)) !== 0) {
    fail(`has the alignment ${value}, which is no power of two between 8 and ${MAX_ALIGNMENT}`);
  }
  return value;
}

function aligned(position: number, alignment: number): number {
  return Math.ceil(position / alignment) * alignment;
}

function readEntry(cursor: GgufCursor, index: number, alignment: number): Entry {
  const { fail } = cursor;
  const name = cursor.string(`the name of tensor ${index}`, MAX_NAME);
  if (name === '') fail(`has no name for tensor ${index}`);
  const quoted = JSON.stringify(name);
  const rank = cursor.u32(`the number of dimensions of ${quoted}`);
  if (rank < 1 || rank > MAX_DIMENSIONS) {
    fail(`gives ${quoted} ${rank} dimensions, where 1 to ${MAX_DIMENSIONS} are allowed`);
  }
  const shape: number[] = [];
  let count = 1;
  for (let i = 0; i < rank; i++) {
    const side = cursor.u64(`the shape of ${quoted}`);
    if (side === 0n) fail(`has an empty dimension in ${quoted}`);
    // ggml's first dimension is the one whose elements lie side by side: PyTorch's last.
    shape.unshift(Number(side));
    count *= Number(side);
    if (!Number.isSafeInteger(count)) fail(`has the absurd shape ${formatShape(shape)} for ${quoted}`);
  }
  const id = cursor.u32(`the type of ${quoted}`);
  const type = ggufType(id);
  if (type === undefined) return fail(`has the unknown type ${id} for ${quoted}`);
  const row = shape.at(-1) ?? 1;
  if (row % type.block !== 0) {
    fail(`has rows of ${row} in ${quoted}, which are not whole blocks of ${type.name} (${type.block})`);
  }
  const length = (count / type.block) * type.bytes;
  if (!Number.isSafeInteger(length)) fail(`has the absurd shape ${formatShape(shape)} for ${quoted}`);
  const offset = cursor.u64(`the offset of ${quoted}`);
  if (offset > BigInt(Number.MAX_SAFE_INTEGER)) fail(`has the absurd offset ${offset} for ${quoted}`);
  if (Number(offset) % alignment !== 0) {
    fail(`has the offset ${offset} for ${quoted}, which is no multiple of its alignment ${alignment}`);
  }
  return { name, type, shape, offset: Number(offset), length };
}

/** In order, without overlap, inside the file. */
function checkLayout(entries: readonly Entry[], dataLength: number, fail: Fail): void {
  let end = 0;
  for (const { name, offset, length } of entries) {
    if (offset < end)
      fail(`has the data of ${JSON.stringify(name)} at ${offset}, before the end of its neighbour`);
    end = offset + length;
    if (end > dataLength) {
      fail(
        `has ${Math.max(0, dataLength)} bytes of data where ${JSON.stringify(name)} ends at ${end} (truncated)`,
      );
    }
  }
}
