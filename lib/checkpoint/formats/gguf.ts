/**
 * Reads the header of a GGUF file (versions 2 and 3, little-endian), never its data. All of it is validated: counts
 * against the file's size, unique names and keys, shapes without overflow, rows of complete blocks, offsets aligned,
 * ascending and without overlap, data within the file. Files of stable-diffusion.cpp have no metadata, and names of up
 * to 83 bytes (the specification allows 64).
 *
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { resolve } from 'node:path';
import { SafelightError } from '../../errors.js';
import { fileError, openRegular, readFully } from '../../files/read.js';
import { elementCount } from '../../tensor/shape.js';
import { formatShape, type TensorInfo } from '../weights/tensor-index.js';
import { type Fail, GgufCursor, NeedMoreBytes } from './gguf-cursor.js';
import { type GgufMetadata, readMetadata } from './gguf-metadata.js';
import { type GgufType, ggufType } from './gguf-types.js';

/** Limit of header bytes as for safetensors, far above real headers; bounds the memory for hostile files. */
const MAX_HEADER = 100_000_000;
const FIRST_READ = 1 << 20;
const MAX_TENSORS = 1_000_000;
const MAX_NAME = 255;
const MAX_DIMENSIONS = 4;
/** Limit of original dimensions; video models have five. */
const MAX_ORIGINAL = 8;
const DEFAULT_ALIGNMENT = 32;
const MAX_ALIGNMENT = 1 << 20;
/** Bytes of the smallest entry: an empty name, one dimension, a type and an offset. */
const MIN_TENSOR = 8 + 4 + 8 + 4 + 8;
const MIN_KEY_VALUE = 8 + 4 + 1;

export interface GgufFile {
  /** Absolute path. */
  readonly path: string;
  /** Size of the file in bytes. */
  readonly size: number;
  readonly version: number;
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

function isGguf(start: Uint8Array): boolean {
  return start[0] === 0x47 && start[1] === 0x47 && start[2] === 0x55 && start[3] === 0x46;
}

/** Returns true if a file begins with GGUF's magic number. @throws FILE_NOT_FOUND */
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

/** Reads and validates a file's header. @throws FILE_NOT_FOUND, INVALID_FILE */
export async function readGguf(path: string): Promise<GgufFile> {
  const absolute = resolve(path);
  const { handle, size } = await openRegular(absolute);
  try {
    // Headers do not state their length: the read grows until the parser completes.
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
 * Parses and validates a header.
 * @param bytes the file's first bytes
 * @param size size of the file in bytes
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
    const original = originalShape(metadata, name, shape, fail);
    tensors.set(name, { name, file: path, offset: base + offset, length, dtype: type.name, shape: original });
  }
  return { path, size, version, metadata, tensors };
}

interface Entry {
  readonly name: string;
  readonly type: GgufType;
  /** Shape in PyTorch's order. */
  readonly shape: readonly number[];
  /** Offset from the beginning of the data in bytes. */
  readonly offset: number;
  readonly length: number;
}

function failure(path: string): Fail {
  return (what) => {
    throw new SafelightError(
      'INVALID_FILE',
      `${path} ${what}; it is damaged or not a GGUF file: download it again`,
    );
  };
}

function wrongVersion(version: number, path: string): SafelightError {
  if (version === 0x02000000 || version === 0x03000000) {
    return new SafelightError(
      'UNSUPPORTED_MODEL',
      `${path} is a big-endian GGUF file; use a little-endian file`,
    );
  }
  return new SafelightError(
    version === 1 ? 'UNSUPPORTED_MODEL' : 'INVALID_FILE',
    `${path} is a GGUF file of version ${version}, expected 2 or 3; convert the model again with a current tool`,
  );
}

/**
 * Returns the original shape of a tensor. ComfyUI-GGUF reshapes tensors whose rows are not complete blocks to rows of
 * 256, and keeps the original shape in the metadata. The values and their order are unchanged.
 */
function originalShape(
  metadata: GgufMetadata,
  name: string,
  shape: readonly number[],
  fail: Fail,
): readonly number[] {
  const entry = metadata.get(`comfy.gguf.orig_shape.${name}`);
  if (entry === undefined) return shape;
  const values = entry.type === 'array' ? entry.values : undefined;
  if (
    values === undefined ||
    values.length === 0 ||
    values.length > MAX_ORIGINAL ||
    values.some((side) => side < 1)
  )
    return fail(`has no valid comfy.gguf.orig_shape for ${JSON.stringify(name)}`);
  if (elementCount(values) !== elementCount(shape))
    return fail(
      `states the original shape ${formatShape(values)} for ${JSON.stringify(name)}, which differs in its element count from ${formatShape(shape)}`,
    );
  return values;
}

/** Returns `general.alignment`, which must be a power of two of at least 8. */
function alignmentOf(metadata: GgufMetadata, fail: Fail): number {
  const entry = metadata.get('general.alignment');
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  if (entry.type !== 'uint32') return fail(`has a general.alignment of type ${entry.type}, expected uint32`);
  const value = Number(entry.value);
  if (value < 8 || value > MAX_ALIGNMENT || (value & (value - 1)) !== 0) {
    fail(`has the alignment ${value}, expected a power of two between 8 and ${MAX_ALIGNMENT}`);
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
    fail(`states ${rank} dimensions for ${quoted}, expected 1 to ${MAX_DIMENSIONS}`);
  }
  const shape: number[] = [];
  let count = 1;
  for (let i = 0; i < rank; i++) {
    const side = cursor.u64(`the shape of ${quoted}`);
    if (side === 0n) fail(`has an empty dimension in ${quoted}`);
    // ggml's first dimension is the contiguous one: PyTorch's last.
    shape.unshift(Number(side));
    count *= Number(side);
    if (!Number.isSafeInteger(count)) fail(`has the implausible shape ${formatShape(shape)} for ${quoted}`);
  }
  const id = cursor.u32(`the type of ${quoted}`);
  const type = ggufType(id);
  if (type === undefined) return fail(`has the unknown type ${id} for ${quoted}`);
  const row = shape.at(-1) ?? 1;
  if (row % type.block !== 0) {
    fail(`has rows of ${row} in ${quoted}, expected multiples of ${type.name}'s block (${type.block})`);
  }
  const length = (count / type.block) * type.bytes;
  if (!Number.isSafeInteger(length)) fail(`has the implausible shape ${formatShape(shape)} for ${quoted}`);
  const offset = cursor.u64(`the offset of ${quoted}`);
  if (offset > BigInt(Number.MAX_SAFE_INTEGER)) fail(`has the implausible offset ${offset} for ${quoted}`);
  if (Number(offset) % alignment !== 0) {
    fail(`has the offset ${offset} for ${quoted}, expected a multiple of its alignment ${alignment}`);
  }
  return { name, type, shape, offset: Number(offset), length };
}

/** Checks that the data is in order, without overlap and within the file. */
function checkLayout(entries: readonly Entry[], dataLength: number, fail: Fail): void {
  let end = 0;
  for (const { name, offset, length } of entries) {
    if (offset < end)
      fail(`has the data of ${JSON.stringify(name)} at ${offset}, before the end of the preceding tensor`);
    end = offset + length;
    if (end > dataLength) {
      fail(
        `has ${Math.max(0, dataLength)} bytes of data but ${JSON.stringify(name)} ends at ${end} (truncated)`,
      );
    }
  }
}
