/**
 * Reads and writes NumPy's `.npy` files. Files are untrusted: the header is a Python literal, of which only the three
 * defined keys with plain values are parsed; nothing is evaluated.
 *
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html (versions 1.0, 2.0 and 3.0).
 */
import { SafelightError } from '../errors.js';
import type { TensorData } from './dtypes.js';
import { elementCount } from './shape.js';

export interface NpyArray {
  readonly data: TensorData;
  readonly shape: readonly number[];
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
/** Limit of header characters, far above headers of three keys and equal to NumPy's own. */
const MAX_HEADER = 10_000;
const MAX_DIMENSIONS = 32;

type ReadElement = (view: DataView, offset: number) => number;
interface ElementType {
  readonly bytes: number;
  readonly make: (length: number) => TensorData;
  readonly read: ReadElement;
}

const f32 = (n: number) => new Float32Array(n);
const i32 = (n: number) => new Int32Array(n);
const u8 = (n: number) => new Uint8Array(n);

/** Integers other than bytes are read as i32; values that do not fit are errors. */
const TYPES: Record<string, ElementType> = {
  '<f4': { bytes: 4, make: f32, read: (v, o) => v.getFloat32(o, true) },
  '<f8': { bytes: 8, make: (n) => new Float64Array(n), read: (v, o) => v.getFloat64(o, true) },
  '<f2': { bytes: 2, make: f32, read: (v, o) => halfToNumber(v.getUint16(o, true)) },
  '<i8': { bytes: 8, make: i32, read: (v, o) => fitsI32(v.getBigInt64(o, true)) },
  '<u8': { bytes: 8, make: i32, read: (v, o) => fitsI32(v.getBigUint64(o, true)) },
  '<i4': { bytes: 4, make: i32, read: (v, o) => v.getInt32(o, true) },
  '<u4': { bytes: 4, make: i32, read: (v, o) => fitsI32(BigInt(v.getUint32(o, true))) },
  '<i2': { bytes: 2, make: i32, read: (v, o) => v.getInt16(o, true) },
  '<u2': { bytes: 2, make: i32, read: (v, o) => v.getUint16(o, true) },
  '|i1': { bytes: 1, make: i32, read: (v, o) => v.getInt8(o) },
  '|u1': { bytes: 1, make: u8, read: (v, o) => v.getUint8(o) },
  '|b1': { bytes: 1, make: u8, read: (v, o) => (v.getUint8(o) ? 1 : 0) },
};

/**
 * Parses a complete `.npy` file. f2 and f4 are read as f32, f8 as f64, u1 and bool as u8, other integers as i32;
 * Fortran order is converted to C order.
 * @throws INVALID_FILE for a malformed or truncated file, trailing bytes or another element type
 */
export function parseNpy(bytes: Uint8Array): NpyArray {
  // Also for memory that was transferred to another thread, of which no view can be created.
  if (bytes.length === 0) throw invalid('it is empty');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { descr, fortran, shape, start } = readHeader(bytes, view);
  const type = Object.hasOwn(TYPES, descr) ? TYPES[descr] : undefined;
  if (!type) throw invalid(`its element type '${descr}' is not one of ${Object.keys(TYPES).join(', ')}`);
  const count = elementCount(shape);
  if (!Number.isSafeInteger(count) || count * type.bytes !== bytes.length - start) {
    throw invalid(
      `the ${bytes.length - start} bytes after its header do not match a '${descr}' array of shape (${shape.join(', ')})`,
    );
  }
  const data = type.make(count);
  for (let i = 0; i < count; i++) data[i] = type.read(view, start + i * type.bytes);
  return { data: fortran ? toCOrder(data, shape) : data, shape };
}

/** Returns a `.npy` file of version 1.0, little-endian, with data aligned to 64 bytes as in NumPy. */
export function writeNpy(data: TensorData, shape: readonly number[]): Uint8Array<ArrayBuffer> {
  const descr =
    data instanceof Float32Array
      ? '<f4'
      : data instanceof Float64Array
        ? '<f8'
        : data instanceof Int32Array
          ? '<i4'
          : '|u1';
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const length = Math.ceil((10 + text.length + 1) / 64) * 64;
  const out = new Uint8Array(length + data.byteLength);
  out.set([...MAGIC, 1, 0, (length - 10) & 255, (length - 10) >> 8]);
  out.set(new TextEncoder().encode(`${text.padEnd(length - 11)}\n`), 10);
  // Typed arrays use the byte order of the machine, little-endian on all platforms of Node.js.
  out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), length);
  return out;
}

interface Header {
  readonly descr: string;
  readonly fortran: boolean;
  readonly shape: number[];
  readonly start: number;
}

function readHeader(bytes: Uint8Array, view: DataView): Header {
  if (bytes.length < 12 || MAGIC.some((b, i) => bytes[i] !== b)) throw invalid('it has no .npy signature');
  const major = bytes[6]!;
  if (major < 1 || major > 3 || bytes[7] !== 0) throw invalid(`its version ${major}.${bytes[7]} is unknown`);
  const prefix = major === 1 ? 10 : 12;
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > MAX_HEADER) throw invalid(`its header of ${length} bytes is too long`);
  if (prefix + length > bytes.length) throw invalid('it ends inside its header');
  const text = new TextDecoder(major === 3 ? 'utf-8' : 'latin1').decode(
    bytes.subarray(prefix, prefix + length),
  );
  const dict = /^\s*\{(.*)\}\s*$/s.exec(text)?.[1];
  if (dict === undefined) throw invalid('its header is not a dictionary');
  return { ...parseEntries(dict), start: prefix + length };
}

/** Parses `'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), ` with each key exactly once, in any order. */
function parseEntries(dict: string): Omit<Header, 'start'> {
  const fields = new Map<string, string>();
  const entry =
    /\s*(['"])(descr|fortran_order|shape)\1\s*:\s*('[^']*'|"[^"]*"|True|False|\([0-9,\sL]*\))\s*(,|$)\s*/y;
  while (entry.lastIndex < dict.length) {
    const match = entry.exec(dict);
    if (!match) throw invalid('its header contains something other than descr, fortran_order and shape');
    if (fields.has(match[2]!)) throw invalid(`its header names ${match[2]} twice`);
    fields.set(match[2]!, match[3]!);
  }
  const descr = /^['"](.*)['"]$/.exec(fields.get('descr') ?? '')?.[1];
  const order = fields.get('fortran_order');
  const shape = parseShape(fields.get('shape') ?? '');
  if (descr === undefined || (order !== 'True' && order !== 'False') || !shape) {
    throw invalid('its header lacks a valid descr, fortran_order or shape');
  }
  if (shape.length > MAX_DIMENSIONS || !shape.every(Number.isSafeInteger))
    throw invalid('its shape is implausible');
  return { descr, fortran: order === 'True', shape };
}

/** Parses a Python tuple of integers: `()`, `(3,)`, `(2, 3)`, `(2, 3,)`; `(3)` is not a tuple. */
function parseShape(text: string): number[] | undefined {
  if (/^\(\s*\)$/.test(text)) return [];
  if (!/^\(.*\)$/s.test(text)) return undefined;
  const parts = text.slice(1, -1).split(',');
  if (parts.length < 2) return undefined;
  if (parts.at(-1)!.trim() === '') parts.pop();
  return parts.every((part) => /^\s*\d+L?\s*$/.test(part))
    ? parts.map((part) => Number.parseInt(part, 10))
    : undefined;
}

/** Converts from Fortran order, in which the first dimension varies fastest. */
function toCOrder(data: TensorData, shape: readonly number[]): TensorData {
  const out = data.slice();
  const index = new Array<number>(shape.length).fill(0);
  const strides = shape.map((_, d) => shape.slice(0, d).reduce((n, s) => n * s, 1));
  for (let i = 0; i < data.length; i++) {
    out[i] = data[index.reduce((sum, at, d) => sum + at * strides[d]!, 0)]!;
    for (let d = shape.length - 1; d >= 0 && ++index[d]! === shape[d]; d--) index[d] = 0;
  }
  return out;
}

/** Converts IEEE 754 half precision exactly. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function fitsI32(value: bigint): number {
  if (value !== BigInt.asIntN(32, value)) throw invalid(`its integer ${value} does not fit 32 bits`);
  return Number(value);
}

function invalid(why: string): SafelightError {
  return new SafelightError('INVALID_FILE', `This .npy file cannot be read: ${why}`);
}
