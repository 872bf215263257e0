import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readRow, readScalars, readValues } from '../../../lib/checkpoint/weights/read-tensor.js';
import type { TensorInfo } from '../../../lib/checkpoint/weights/tensor-index.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'safelight-read-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Writes bytes as a file that contains one tensor. */
async function tensor(
  dtype: string,
  shape: number[],
  data: ArrayBufferView,
  strides?: number[],
): Promise<TensorInfo> {
  const file = join(folder, `${dtype}-${shape.join('x')}-${Math.random()}`);
  await writeFile(file, new Uint8Array(data.buffer));
  const info = { name: 'values', file, offset: 0, length: data.byteLength, dtype, shape };
  return strides ? { ...info, strides } : info;
}

describe('the values of a small tensor', () => {
  it.each([
    ['F64', new Float64Array([1.5, -2]), [1.5, -2]],
    ['F32', new Float32Array([1.5, -2]), [1.5, -2]],
    // 1.5, -2, the smallest subnormal number, infinity, negative infinity
    [
      'F16',
      new Uint16Array([0x3e00, 0xc000, 0x0001, 0x7c00, 0xfc00]),
      [1.5, -2, 2 ** -24, Infinity, -Infinity],
    ],
    ['BF16', new Uint16Array([0x3fc0, 0xc000]), [1.5, -2]],
    ['I64', new BigInt64Array([7n, -1n]), [7, -1]],
    ['I32', new Int32Array([7, -1]), [7, -1]],
  ])('are read as numbers from %s', async (dtype, data, expected) => {
    expect(await readValues(await tensor(dtype, [expected.length], data), 10)).toEqual(expected);
  });

  it('are NaN for a NaN in F16', async () => {
    expect(await readValues(await tensor('F16', [1], new Uint16Array([0x7e00])), 1)).toEqual([Number.NaN]);
  });

  it('are read from a scalar, an empty list and a view with gaps', async () => {
    const data = new Float32Array([1, 2, 3, 4, 5]);
    expect(await readValues(await tensor('F32', [], data), 1)).toEqual([1]);
    expect(await readValues(await tensor('F32', [0], data), 1)).toEqual([]);
    expect(await readValues(await tensor('F32', [3], data, [2]), 3)).toEqual([1, 3, 5]);
  });

  it('are refused if there are more of them than expected, or several dimensions', async () => {
    const data = new Float32Array(4);
    for (const shape of [[4], [2, 2]])
      await expect(readValues(await tensor('F32', shape, data), 3)).rejects.toMatchObject({
        code: 'INVALID_FILE',
      });
  });

  it('are refused for types that such tensors do not have', async () => {
    await expect(readValues(await tensor('I16', [1], new Uint8Array(2)), 1)).rejects.toMatchObject({
      code: 'UNSUPPORTED_MODEL',
    });
  });

  it('are refused if the file ends before them or does not exist', async () => {
    const short = await tensor('F32', [4], new Float32Array(2));
    await expect(readValues(short, 4)).rejects.toMatchObject({ code: 'INVALID_FILE' });
    await expect(readValues({ ...short, file: join(folder, 'none') }, 4)).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
  });
});

describe('a row of a table', () => {
  it('is read from a contiguous and from a transposed table', async () => {
    const data = new Float32Array([1, 2, 3, 4, 5, 6]);
    expect([...(await readRow(await tensor('F32', [2, 3], data), 1))]).toEqual([4, 5, 6]);
    expect([...(await readRow(await tensor('F32', [3, 2], data, [1, 3]), 1))]).toEqual([2, 5]);
  });

  it('is refused beyond the last row and for a tensor that is no table', async () => {
    const data = new Float32Array(6);
    for (const [shape, row] of [
      [[2, 3], 2],
      [[1, 2, 3], 0],
    ] as const)
      await expect(readRow(await tensor('F32', [...shape], data), row)).rejects.toMatchObject({
        code: 'INVALID_FILE',
      });
  });
});

describe('scalars', () => {
  it('are read in the order of the tensors, whatever their shape of ones', async () => {
    const one = await tensor('F32', [], new Float32Array([4]));
    const two = await tensor('F32', [1, 1], new Float32Array([8]));
    expect(await readScalars([two, one, two])).toEqual([8, 4, 8]);
  });

  it('are refused if a tensor contains more than one number', async () => {
    await expect(readScalars([await tensor('F32', [2], new Float32Array(2))])).rejects.toMatchObject({
      code: 'INVALID_FILE',
    });
  });
});
