/**
 * Parses the key-value pairs of a GGUF header. Arrays are validated and skipped, except short arrays of integers
 * (shapes).
 */
import type { Fail, GgufCursor } from './gguf-cursor.js';
import { GGUF_VALUE } from './gguf-types.js';

export type GgufTypeName = keyof typeof GGUF_VALUE;

export type GgufValue =
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'float32' | 'float64'; readonly value: number }
  /** 64-bit integers are bigints. */
  | {
      readonly type: Exclude<GgufTypeName, 'string' | 'bool' | 'float32' | 'float64' | 'array'>;
      readonly value: number | bigint;
    }
  /** `values` exists for short arrays of integers, such as shapes. */
  | {
      readonly type: 'array';
      readonly of: GgufTypeName;
      readonly length: number;
      readonly values?: readonly number[];
    };

export type GgufMetadata = ReadonlyMap<string, GgufValue>;

const MAX_KEY = 65_535;
/** Limit of array lengths; the largest tokenizers have some hundred thousand entries. */
const MAX_ARRAY = 1 << 24;
const MAX_STRING = 64 << 20;
/** Limit of arrays whose values are returned. */
const MAX_VALUES = 16;

const NAMES: ReadonlyMap<number, GgufTypeName> = new Map(
  Object.entries(GGUF_VALUE).map(([name, id]) => [id, name as GgufTypeName]),
);

/** Bytes of numbers and booleans. */
const SIZES = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  bool: 1,
  uint64: 8,
  int64: 8,
  float64: 8,
} as const satisfies Partial<Record<GgufTypeName, number>>;

/** Reads `count` key-value pairs. */
export function readMetadata(cursor: GgufCursor, count: number): GgufMetadata {
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < count; i++) {
    const key = cursor.string(`metadata key ${i}`, MAX_KEY);
    const quoted = JSON.stringify(key.slice(0, 200));
    if (key === '') cursor.fail(`has an empty metadata key`);
    if (metadata.has(key)) cursor.fail(`has the metadata key ${quoted} twice`);
    metadata.set(key, readValue(cursor, readType(cursor, `the type of ${quoted}`), quoted));
  }
  return metadata;
}

function readType(cursor: GgufCursor, what: string): GgufTypeName {
  const id = cursor.u32(what);
  return NAMES.get(id) ?? cursor.fail(`has an unknown value ${id} for ${what}`);
}

function readValue(cursor: GgufCursor, type: GgufTypeName, what: string): GgufValue {
  switch (type) {
    case 'array':
      return readArray(cursor, what);
    case 'string':
      return { type, value: cursor.string(what, MAX_STRING) };
    case 'bool':
      return { type, value: bool(cursor.u8(what), what, cursor.fail) };
    case 'float32':
      return { type, value: cursor.f32(what) };
    case 'float64':
      return { type, value: cursor.f64(what) };
    default:
      return { type, value: cursor.integer(SIZES[type], type.startsWith('int'), what) };
  }
}

function readArray(cursor: GgufCursor, what: string): GgufValue {
  const of = readType(cursor, `the element type of ${what}`);
  if (of === 'array') cursor.fail(`has nested arrays in ${what}, which are not supported`);
  // A string has at least the bytes of its length.
  const each = of === 'string' ? 8 : SIZES[of as keyof typeof SIZES];
  const length = cursor.count(`the length of ${what}`, each, MAX_ARRAY);
  if (of === 'string') {
    for (let i = 0; i < length; i++) cursor.stringBytes(`element ${i} of ${what}`, MAX_STRING);
  } else if (of === 'bool') {
    for (let i = 0; i < length; i++) bool(cursor.u8(what), what, cursor.fail);
  } else if (length <= MAX_VALUES && /int/.test(of)) {
    const size = SIZES[of as keyof typeof SIZES];
    const values = Array.from({ length }, () => Number(cursor.integer(size, of.startsWith('int'), what)));
    return { type: 'array', of, length, values };
  } else cursor.skip(length * each, what);
  return { type: 'array', of, length };
}

function bool(byte: number, what: string, fail: Fail): boolean {
  return byte === 0 || byte === 1 ? byte === 1 : fail(`has ${byte} for ${what}, expected 0 or 1`);
}
