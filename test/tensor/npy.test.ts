import { describe, expect, it } from 'vitest';
import { Tensor } from '../../lib/tensor/tensor.js';

function npy(header: string, body: Uint8Array, version = 1): Uint8Array {
  const prefix = version === 1 ? 10 : 12;
  const out = Buffer.alloc(prefix + header.length + body.length);
  out.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0]);
  if (version === 1) out.writeUInt16LE(header.length, 8);
  else out.writeUInt32LE(header.length, 8);
  out.write(header, prefix, 'latin1');
  out.set(body, prefix + header.length);
  return out;
}

const dict = (descr: string, shape: string, fortran = 'False') =>
  `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`;
const bytes = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

describe('.npy', () => {
  it.each([
    ['f32', Float32Array.of(1.5, -2, 3e-40, Infinity, NaN, 0)],
    ['f64', Float64Array.of(1 / 3, -1e300, 2, 3, 4, 5)],
    ['i32', Int32Array.of(1, -2, 2 ** 31 - 1, 4, 5, 6)],
    ['u8', Uint8Array.of(0, 1, 255, 4, 5, 6)],
  ])('reads back %s tensors of any shape as they were written', (dtype, data) => {
    for (const shape of [[6], [2, 3], [1, 2, 3, 1]]) {
      const read = Tensor.fromNpy(Tensor.from(data, shape).toNpy());
      expect([read.dtype, read.shape]).toEqual([dtype, shape]);
      expect(read.data).toEqual(data);
    }
  });

  it("writes version 1.0 with NumPy's header and alignment", () => {
    const file = Buffer.from(Tensor.from(Float32Array.of(1, 2), [2]).toNpy());
    expect(file.toString('latin1', 10, 69)).toBe(
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }  ",
    );
    expect(file.length).toBe(128 + 8);
    expect(file[127]).toBe(10);
    expect(Tensor.fromNpy(Tensor.from(Float32Array.of(7), []).toNpy()).shape).toEqual([]);
  });

  it.each([1, 2, 3])('reads version %i', (version) => {
    const read = Tensor.fromNpy(npy(dict('<f4', '(1, 2)'), bytes(Float32Array.of(3, 4)), version));
    expect([read.shape, [...read.data]]).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  it('reads Fortran order', () => {
    const read = Tensor.fromNpy(npy(dict('<f4', '(2, 3)', 'True'), bytes(Float32Array.of(0, 3, 1, 4, 2, 5))));
    expect([...read.data]).toEqual([0, 1, 2, 3, 4, 5]);
    const cube = Tensor.fromNpy(npy(dict('|u1', '(2, 2, 2)', 'True'), Uint8Array.of(0, 4, 2, 6, 1, 5, 3, 7)));
    expect([...cube.data]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('reads half floats, booleans and integers that fit', () => {
    const read = (descr: string, body: ArrayBufferView, n: number) =>
      Tensor.fromNpy(npy(dict(descr, `(${n},)`), bytes(body)));
    const halves = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7c00, 0xfc00, 0x7bff, 0x8000);
    expect([...read('<f2', halves, 7).data]).toEqual([1, -2, 2 ** -24, Infinity, -Infinity, 65504, -0]);
    expect([...read('<i8', BigInt64Array.of(5n, -5n), 2).data]).toEqual([5, -5]);
    expect([...read('|b1', Uint8Array.of(0, 1), 2).data]).toEqual([0, 1]);
    expect([...read('<u2', Uint16Array.of(65535), 1).data]).toEqual([65535]);
    expect(() => read('<i8', BigInt64Array.of(2n ** 40n), 1)).toThrowError(/does not fit/);
  });

  it.each([
    ['an empty file', new Uint8Array(0)],
    ['a file of another format', Buffer.from('PK\x03\x04 something else')],
    ['an unknown version', npy(dict('<f4', '(1,)'), new Uint8Array(4), 9)],
    ['a truncated header', npy(dict('<f4', '(1,)'), new Uint8Array(4)).subarray(0, 40)],
    ['truncated data', npy(dict('<f4', '(2,)'), new Uint8Array(7))],
    ['trailing bytes', npy(dict('<f4', '(1,)'), new Uint8Array(5))],
    ['objects', npy(dict('|O', '(1,)'), new Uint8Array(8))],
    ['big-endian numbers', npy(dict('>f4', '(1,)'), new Uint8Array(4))],
    ['a property of Object.prototype as a type', npy(dict('constructor', '(1,)'), new Uint8Array(4))],
    [
      'a call in the header',
      npy("{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,), }", new Uint8Array(4)),
    ],
    [
      'a duplicate key',
      npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", new Uint8Array(4)),
    ],
    [
      'an unknown key',
      npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 'y'}", new Uint8Array(4)),
    ],
    ['a missing key', npy("{'descr': '<f4', 'shape': (1,)}", new Uint8Array(4))],
    ['a number for a shape', npy(dict('<f4', '(1)'), new Uint8Array(4))],
    ['negative sizes', npy(dict('<f4', '(-1, -1)'), new Uint8Array(4))],
    ['an absurdly large shape', npy(dict('<f4', `(${'9'.repeat(20)},)`), new Uint8Array(4))],
    ['a shape whose product overflows', npy(dict('<f4', '(4294967296, 4294967296)'), new Uint8Array(0))],
    ['too many dimensions', npy(dict('<f4', `(${'1, '.repeat(40)})`), new Uint8Array(4))],
    ['a header of 64 MB', npy(dict('<f4', '(1,)').padEnd(70_000), new Uint8Array(4), 2)],
  ])('rejects %s', (_name, file) => {
    expect(() => Tensor.fromNpy(file)).toThrowError(expect.objectContaining({ code: 'INVALID_FILE' }));
  });
});
