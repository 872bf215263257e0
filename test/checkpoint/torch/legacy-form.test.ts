import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import type { ErrorCode } from '../../../lib/errors.js';
import { scratch } from '../../support/checkpoint/sparse-files.js';
import { valuesOf } from '../../support/torch/values.js';
import {
  ascii,
  dict,
  global,
  int,
  legacyForm,
  number,
  pickle,
  storage,
  tensor,
  text,
  tuple,
} from '../../support/torch/write.js';

const folder = scratch();
let count = 0;
async function written(file: Uint8Array): Promise<string> {
  const path = join(folder, `${count++}.pt`);
  await writeFile(path, file);
  return path;
}

async function refused(file: Uint8Array, message: RegExp, code: ErrorCode = 'INVALID_FILE'): Promise<void> {
  const reading = openWeights(await written(file));
  await expect(reading).rejects.toMatchObject({
    name: 'SafelightError',
    code,
    message: expect.stringMatching(message),
  });
}

const data = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);
const stateDict = pickle(dict({ a: tensor(storage('F32', '0', 4), [2, 2]) }));

test('reads a storage that is a view of another, as PyTorch before 0.4 wrote them', async () => {
  const view = (offset: number, length: number): Buffer =>
    Buffer.concat([
      tuple(
        text('storage'),
        global('torch', 'FloatStorage'),
        text('0'),
        text('cpu'),
        int(4),
        tuple(text('1'), int(offset), int(length)),
      ),
      ascii('Q'),
    ]);
  const file = (offset: number, length: number): Buffer =>
    legacyForm(pickle(dict({ a: tensor(view(offset, length), [2]) })), [['0', 4, data]]);
  expect(valuesOf((await openWeights(await written(file(1, 2)))).tensors.get('a')!)).toEqual([2, 3]);
  await refused(file(3, 2), /view that reaches outside/);
  await refused(file(0, 1), /outside of its storage of 4/);
});

describe('a legacy file', () => {
  const file = (keys: [string, number, Uint8Array][] = [['0', 4, data]]): Buffer =>
    legacyForm(stateDict, keys);

  test('is rejected if its storages differ from the announced ones', async () => {
    expect(valuesOf((await openWeights(await written(file()))).tensors.get('a')!)).toEqual([1, 2, 3, 4]);
    await refused(file([['0', 5, data]]), /5 elements where 4 were announced/);
    await refused(file([['0', -1 >>> 0, data]]), /elements where 4/);
    await refused(file([['1', 4, data]]), /no tensor is of/);
    await refused(
      file([
        ['0', 4, data],
        ['0', 4, data],
      ]),
      /or one twice/,
    );
    await refused(file([]), /no data for the storage "0"/);
    await refused(file().subarray(0, file().length - 1), /middle of a storage/);
    await refused(file().subarray(0, file().length - 20), /before its last storage/);
  });

  test('is rejected if it is from a big-endian machine or another version', async () => {
    const big = Buffer.from(file());
    big[big.indexOf(ascii('little_endian')) + 13] = 0x89;
    await refused(big, /big-endian/, 'UNSUPPORTED_MODEL');
    const version = Buffer.from(file());
    version.set(number(1002, 2), version.indexOf(ascii('M\xe9\x03')) + 1);
    await refused(version, /another version/);
  });
});
