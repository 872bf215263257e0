import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TensorInfo } from '../../../lib/checkpoint/weights/tensor-index.js';

export const FIXTURES = fileURLToPath(new URL('../../fixtures/torch/', import.meta.url));

/** Decodes small IEEE floats by definition. */
function small(bits: number, exponentBits: number, mantissaBits: number): number {
  const bias = 2 ** (exponentBits - 1) - 1;
  const exponent = (bits >> mantissaBits) & (2 ** exponentBits - 1);
  const mantissa = bits & (2 ** mantissaBits - 1);
  const sign = bits >> (exponentBits + mantissaBits) ? -1 : 1;
  return exponent === 0
    ? sign * mantissa * 2 ** (1 - bias - mantissaBits)
    : sign * (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias);
}

type Read = (view: DataView, at: number) => number;
const READ: Readonly<Record<string, readonly [size: number, read: Read]>> = {
  F64: [8, (v, at) => v.getFloat64(at, true)],
  F32: [4, (v, at) => v.getFloat32(at, true)],
  F16: [2, (v, at) => small(v.getUint16(at, true), 5, 10)],
  BF16: [2, (v, at) => small(v.getUint16(at, true), 8, 7)],
  F8_E4M3: [1, (v, at) => small(v.getUint8(at), 4, 3)],
  F8_E5M2: [1, (v, at) => small(v.getUint8(at), 5, 2)],
  I64: [8, (v, at) => Number(v.getBigInt64(at, true))],
  I32: [4, (v, at) => v.getInt32(at, true)],
  I16: [2, (v, at) => v.getInt16(at, true)],
  I8: [1, (v, at) => v.getInt8(at)],
  U8: [1, (v, at) => v.getUint8(at)],
  U16: [2, (v, at) => v.getUint16(at, true)],
  BOOL: [1, (v, at) => v.getUint8(at)],
};

/** Returns a tensor's values in the order of its indices; two per complex number. */
export function valuesOf(tensor: TensorInfo): number[] {
  const file = readFileSync(tensor.file);
  const bytes = file.subarray(tensor.offset, tensor.offset + tensor.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const complex = { C64: 'F32', C128: 'F64' }[tensor.dtype];
  const [size, read] = READ[complex ?? tensor.dtype]!;
  const parts = complex ? 2 : 1;
  const { shape } = tensor;
  const strides = tensor.strides ?? shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
  const values: number[] = [];
  const walk = (dimension: number, at: number): void => {
    if (dimension === shape.length) {
      for (let part = 0; part < parts; part++) values.push(read(view, (at * parts + part) * size));
      return;
    }
    for (let i = 0; i < shape[dimension]!; i++) walk(dimension + 1, at + i * strides[dimension]!);
  };
  walk(0, 0);
  return values;
}
