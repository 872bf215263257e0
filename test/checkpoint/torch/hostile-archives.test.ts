import { open, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { crc32, crc32ByTable } from '../../../lib/checkpoint/formats/crc.js';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import { verifyTensors } from '../../../lib/checkpoint/formats/verify.js';
import { type ErrorCode, SafelightError } from '../../../lib/errors.js';
import { scratch } from '../../support/checkpoint/sparse-files.js';
import { FIXTURES, valuesOf } from '../../support/torch/values.js';
import {
  ascii,
  centralHeader,
  dict,
  type Entry,
  endRecords,
  pickle,
  storage,
  tensor,
  type ZipLies,
  zip,
} from '../../support/torch/write.js';

const folder = scratch();
let count = 0;
async function written(file: Uint8Array): Promise<string> {
  const path = join(folder, `${count++}.ckpt`);
  await writeFile(path, file);
  return path;
}

async function rejected(file: Uint8Array, message: RegExp, code: ErrorCode = 'INVALID_FILE'): Promise<void> {
  const error = await openWeights(await written(file)).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SafelightError);
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
}

const data = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);
const stateDict = pickle(dict({ a: tensor(storage('F32', '0', 4), [2, 2]) }));

/** A checkpoint of one tensor with a change to its archive. */
function archive(
  {
    pickled = {},
    stored = {},
    more = [],
  }: { pickled?: Partial<Entry>; stored?: Partial<Entry>; more?: [string, Entry][] } = {},
  lies: ZipLies = {},
): Buffer {
  const entries: [string, Entry][] = [
    ['a/data.pkl', { data: stateDict, ...pickled }],
    ['a/data/0', { data, ...stored }],
    ...more,
  ];
  return zip(entries, lies);
}

describe('a valid archive', () => {
  test.each<[string, () => Buffer]>([
    ['without changes', () => archive()],
    ['with ZIP64 fields', () => archive({}, { zip64: true })],
    ['with its pickle compressed', () => archive({ pickled: { deflate: true } })],
    [
      'with sizes after the data',
      () => archive({ stored: { says: { flags: 8 }, locally: { crc: 0, packed: 0, size: 0 } } }),
    ],
    ['with a byte order record', () => archive({ more: [['a/byteorder', { data: ascii('little') }]] })],
    [
      'with additional entries',
      () =>
        archive({
          more: [
            ['a/data/9', { data }],
            ['b/x', { data, deflate: true }],
          ],
        }),
    ],
  ])('is read %s', async (_, file) => {
    const { tensors } = await openWeights(await written(file()));
    expect(valuesOf(tensors.get('a')!)).toEqual([1, 2, 3, 4]);
    expect(tensors.get('a')).not.toHaveProperty('checksum');
  });

  test('is read with tensors past 4 GiB', async () => {
    const path = await written(
      zip([['a/data.pkl', { data: stateDict }]]).subarray(0, 30 + 10 + stateDict.length),
    );
    const far = 2 ** 32 + 4096;
    const local = zip([['a/data/0', { data }]]).subarray(0, 30 + 8 + data.length);
    const headers = [
      centralHeader(
        {
          name: 'a/data.pkl',
          flags: 0,
          method: 0,
          crc: crc32(stateDict),
          packed: stateDict.length,
          size: stateDict.length,
          offset: 0,
        },
        true,
      ),
      centralHeader(
        { name: 'a/data/0', flags: 0, method: 0, crc: crc32(data), packed: 16, size: 16, offset: far },
        true,
      ),
    ];
    const directory = Buffer.concat(headers);
    await truncate(path, far);
    const file = await open(path, 'r+');
    const tail = [local, directory, ...endRecords(2, directory.length, far + local.length, { zip64: true })];
    await file.write(Buffer.concat(tail), 0, undefined, far);
    await file.close();
    const { tensors } = await openWeights(path);
    // Too large for reading all of it on opening; the checksum is verified on loading.
    expect(tensors.get('a')).toMatchObject({
      offset: far + 38,
      length: 16,
      checksum: { offset: far + 38, length: 16, crc: crc32(data) },
    });
    await verifyTensors(tensors.values());
    const hole = await open(path, 'r+');
    await hole.write(Buffer.from([9]), 0, 1, far + 40);
    await hole.close();
    await expect(verifyTensors(tensors.values())).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringMatching(/wrong checksum for "a"/),
    });
  });
});

describe('a malicious archive', () => {
  const bomb = Buffer.alloc(64 * 1024 * 1024);
  test.each<[string, () => Buffer, RegExp]>([
    [
      'a bomb with its true size',
      () => archive({ pickled: { data: bomb, deflate: true } }),
      /67108864 bytes in "a\/data\.pkl", expected at most/,
    ],
    [
      'a bomb with a false size',
      () => archive({ pickled: { data: bomb, deflate: true, says: { size: 1000 } } }),
      /cannot be unpacked/,
    ],
    [
      'a stream shorter than declared',
      () => archive({ pickled: { deflate: true, says: { size: 5000 } } }),
      /another size/,
    ],
    [
      'an invalid stream',
      () => archive({ pickled: { data: Buffer.alloc(99, 7), says: { method: 8 } } }),
      /cannot be unpacked/,
    ],
    [
      'a wrong checksum of the pickle',
      () => archive({ pickled: { says: { crc: 1 } } }),
      /wrong checksum for "a\/data\.pkl"/,
    ],
    [
      'a wrong checksum of a tensor',
      () => archive({ stored: { says: { crc: 1 } } }),
      /wrong checksum for "a"/,
    ],
    ['encryption', () => archive({ stored: { says: { flags: 1 } } }), /encrypted entry "a\/data\/0"/],
    [
      'another compression method',
      () => archive({ stored: { says: { method: 12 } } }),
      /compressed by method 12/,
    ],
    ['a duplicate name', () => archive({ more: [['a/data/0', { data }]] }), /"a\/data\/0" twice/],
    [
      'entries that overlap',
      () => archive({ more: [['a/data/0', { data, says: { name: 'a/data/1', offset: 0 } }]] }),
      /headers disagree|overlap/,
    ],
    [
      'entries with the same bytes',
      () =>
        archive({
          more: [['a/data/0', { data, says: { name: 'a/data/0 ', offset: 40 + stateDict.length } }]],
        }),
      /disagree|overlap/,
    ],
    [
      'a local header with another name',
      () => archive({ stored: { locally: { name: 'a/data/1' } } }),
      /two headers disagree/,
    ],
    [
      'a local header with another size',
      () => archive({ stored: { locally: { size: 8 } } }),
      /two headers disagree/,
    ],
    [
      'a local header with another checksum',
      () => archive({ stored: { locally: { crc: 7 } } }),
      /two headers disagree/,
    ],
    [
      'a local header with other flags',
      () => archive({ stored: { locally: { flags: 8 } } }),
      /two headers disagree/,
    ],
    ['a missing local header', () => archive({ stored: { says: { offset: 3 } } }), /two headers disagree/],
    [
      'an entry past the end',
      () => archive({ stored: { says: { offset: 1_000_000 } } }),
      /no room for the entry/,
    ],
    [
      'an entry that overlaps the directory',
      () => archive({ stored: { says: { size: 200, packed: 200 } } }),
      /exceeds the space before the directory/,
    ],
    [
      'a stored entry with two different sizes',
      () => archive({ stored: { says: { size: 8 } } }),
      /stored with differing sizes/,
    ],
    [
      'sixty thousand missing entries',
      () => archive({}, { end: { 8: 60_000, 10: 60_000 } }),
      /60000 zip entries in a directory/,
    ],
    [
      'absurdly many entries',
      () => archive({}, { zip64: true, directory64: { count: 2n ** 40n } }),
      /states 1099511627776 zip entries/,
    ],
    [
      'a count beyond exact integers',
      () => archive({}, { zip64: true, directory64: { count: 2n ** 63n } }),
      /implausible size/,
    ],
    [
      'an absurdly large directory',
      () => archive({}, { zip64: true, directory64: { length: 2n ** 40n } }),
      /which is implausible/,
    ],
    [
      'a directory at another offset',
      () => archive({}, { end: { 16: 5 } }),
      /at another position than stated/,
    ],
    ['fewer entries than declared', () => archive({}, { end: { 8: 1, 10: 1 } }), /longer than its entries/],
    ['several disks', () => archive({}, { end: { 4: 1 } }), /multi-volume/],
    [
      'data before it',
      () => Buffer.concat([ascii('PK\x03\x04'), archive()]),
      /at another position than stated/,
    ],
    ['data after it', () => Buffer.concat([archive(), ascii('x')]), /no end record of a zip directory/],
    ['a missing tensor', () => zip([['a/data.pkl', { data: stateDict }]]), /no entry for the storage "0"/],
    [
      'a truncated tensor',
      () => archive({ stored: { data: data.subarray(8) } }),
      /has 8 bytes for a storage of 16/,
    ],
  ])('is rejected for %s', (_, file, message) => rejected(file(), message));

  test('is rejected if it is another kind of file', async () => {
    await rejected(archive({ stored: { deflate: true } }), /compressed tensors/, 'UNSUPPORTED_MODEL');
    await rejected(
      archive({ more: [['a/byteorder', { data: ascii('big') }]] }),
      /big-endian/,
      'UNSUPPORTED_MODEL',
    );
    await rejected(archive({ more: [['a/code/x.py', { data }]] }), /TorchScript/, 'UNSUPPORTED_MODEL');
    await rejected(zip([['model/weights.h5', { data }]]), /no data\.pkl/);
    await rejected(archive({ more: [['b/data.pkl', { data }]] }), /several data\.pkl/);
    await rejected(
      Buffer.concat([Buffer.alloc(257), ascii('ustar'), Buffer.alloc(250)]),
      /0\.1 \(tar\)/,
      'UNSUPPORTED_MODEL',
    );
    await rejected(
      pickle(dict({ a: ascii('N') }), ascii('0N'), Buffer.alloc(20, 'N')),
      /is a pickle that torch\.save did not write/,
      'UNSUPPORTED_MODEL',
    );
  });

  test('is rejected wherever it is truncated', async () => {
    const whole = archive();
    for (let length = 0; length < whole.length; length += 7) await rejected(whole.subarray(0, length), /./);
  });
});

test('computes equal checksums in both ways', async () => {
  const bytes = await readFile(join(FIXTURES, 'views.pt'));
  expect(crc32ByTable(bytes)).toBe(crc32(bytes));
  expect(crc32ByTable(bytes.subarray(100), crc32ByTable(bytes.subarray(0, 100)))).toBe(crc32(bytes));
});
