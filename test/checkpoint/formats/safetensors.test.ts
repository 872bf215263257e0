import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import { parseSafetensorsHeader, readSafetensors } from '../../../lib/checkpoint/formats/safetensors.js';
import { SafelightError } from '../../../lib/errors.js';
import { framed, headerOf, scratch, writeSparse } from '../../support/checkpoint/sparse-files.js';

const folder = scratch();
let count = 0;

/** Writes a header text and a number of data bytes, and reads the file. */
async function read(text: string | Buffer, data = 0): ReturnType<typeof readSafetensors> {
  const path = join(folder, `${count++}.safetensors`);
  await writeFile(path, Buffer.concat([framed(text), Buffer.alloc(data)]));
  return readSafetensors(path);
}

async function refused(reading: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await reading.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SafelightError);
  expect((error as SafelightError).code).toBe('INVALID_FILE');
  expect((error as SafelightError).message).toMatch(message);
}

const entry = (dtype: string, shape: string, offsets: string): string =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;
const one = (dtype: string, shape: string, offsets: string): string =>
  `{"a":${entry(dtype, shape, offsets)}}`;

describe('a safetensors file', () => {
  test('is read with the absolute offset of every tensor', async () => {
    const file = await read(
      '{"__metadata__":{"format":"pt"},"b":{"data_offsets":[4,12],"dtype":"F32","shape":[2,1]},"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}  ',
      12,
    );
    const base = file.size - 12;
    expect([...file.metadata]).toEqual([['format', 'pt']]);
    expect([...file.tensors.values()]).toEqual([
      { name: 'b', file: file.path, offset: base + 4, length: 8, dtype: 'F32', shape: [2, 1] },
      { name: 'a', file: file.path, offset: base, length: 4, dtype: 'F16', shape: [2] },
    ]);
  });

  test('may contain scalars, empty tensors, no tensors, any dtype and unusual names', async () => {
    expect((await read('{}')).tensors.size).toBe(0);
    expect((await read(one('F32', '[]', '[0,4]'), 4)).tensors.get('a')?.shape).toEqual([]);
    expect((await read(one('I64', '[3,0]', '[0,0]'))).tensors.get('a')?.length).toBe(0);
    expect((await read(one('F4', '[4]', '[0,2]'), 2)).tensors.get('a')?.length).toBe(2);
    expect((await read(one('F6_E2M3', '[4]', '[0,3]'), 3)).tensors.get('a')?.length).toBe(3);
    for (const dtype of ['BOOL', 'U8', 'I8', 'F8_E4M3', 'F8_E5M2', 'F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ']) {
      expect((await read(one(dtype, '[5]', '[0,5]'), 5)).tensors.get('a')?.dtype).toBe(dtype);
    }
    for (const dtype of ['I16', 'U16', 'F16', 'BF16']) await read(one(dtype, '[5]', '[0,10]'), 10);
    for (const dtype of ['I32', 'U32', 'F32']) await read(one(dtype, '[5]', '[0,20]'), 20);
    for (const dtype of ['I64', 'U64', 'F64', 'C64']) await read(one(dtype, '[5]', '[0,40]'), 40);
    const names = ['', '__proto__', 'constructor', 'a"b\\', 'ключ', '\u{1f9ea}'];
    const fields = names.map(
      (name) => `${JSON.stringify(name)}:{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`,
    );
    expect([...(await read(`{${fields.join(',')}}`)).tensors.keys()]).toEqual(names);
    expect(
      (
        await read('{"\\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"more":[{"x":null}]}}')
      ).tensors.has('a'),
    ).toBe(true);
  });

  test('may have null as metadata, as in the reference reader', async () => {
    const file = await read(`{"__metadata__": null ,"a":${entry('F16', '[2]', '[0,4]')}}`, 4);
    expect(file.metadata.size).toBe(0);
    expect([...file.tensors.keys()]).toEqual(['a']);
    expect((await read('{"__metadata__":null}')).tensors.size).toBe(0);
  });

  test('may contain everything else that the reference reader accepts', async () => {
    expect([...(await read('{"__metadata__":{"":"","a":"\\ud83d\\ude00"}}')).metadata]).toEqual([
      ['', ''],
      ['a', '\u{1f600}'],
    ]);
    // Spaces after the JSON align the data.
    await read(`${one('U8', '[1]', '[0,1]')} \n\r\t`, 1);
    const unordered = await read(
      `{"b":${entry('U8', '[3]', '[1,4]')},"none":${entry('F32', '[0,7]', '[1,1]')},"a":${entry('U8', '[1]', '[0,1]')}}`,
      4,
    );
    expect([...unordered.tensors.keys()]).toEqual(['b', 'none', 'a']);
    await read(one('U8', `[${Array(70).fill(1).join(',')}]`, '[0,1]'), 1);
    const nested = `${'['.repeat(124)}${']'.repeat(124)}`;
    await read(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"more":${nested}}}`);
  });

  test('is not read beyond its header', async () => {
    const path = await writeSparse(join(folder, 'huge.safetensors'), {
      a: { dtype: 'F32', shape: [1 << 20, 1 << 18] },
    });
    expect((await readSafetensors(path)).size).toBeGreaterThan(2 ** 40);
  });
});

describe('a malformed safetensors file', () => {
  const broken: [what: string, header: string | Buffer, message: RegExp, data?: number][] = [
    ['a header that is not an object', '[]', /begin with "\{"/],
    ['a header after a space', ' {}', /begin with "\{"/],
    ['a header after a byte order mark', Buffer.from('\ufeff{}'), /begin with "\{"/],
    ['text that is not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), /UTF-8/],
    ['half of a surrogate pair', '{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', /surrogate/],
    ['a control character in a name', '{"a\nb":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', /control/],
    ['a broken escape', '{"\\x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', /escape/],
    ['truncated JSON', '{"a":{"dtype":"F32"', /ends/],
    ['an extra comma', '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},}', /string/],
    ['text after the JSON', '{}{}', /goes on/],
    ['a zero byte after the JSON', '{}\0', /goes on/],
    [
      'a duplicate tensor name',
      `${one('U8', '[0]', '[0,0]').slice(0, -1)},${one('U8', '[0]', '[0,0]').slice(1)}`,
      /twice/,
    ],
    [
      'a duplicate tensor name through an escape',
      '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
      /twice/,
    ],
    ['a duplicate field', '{"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}', /twice/],
    ['duplicate metadata', '{"__metadata__":{},"__metadata__":{}}', /twice/],
    ['metadata that is not an object', '{"__metadata__":[]}', /__metadata__/],
    ['metadata that only begins with null', '{"__metadata__":nul}', /__metadata__/],
    ['metadata with a value of null', '{"__metadata__":{"a":null}}', /needs a string for __metadata__ "a"/],
    ['duplicate metadata, the first of which is null', '{"__metadata__":null,"__metadata__":{}}', /twice/],
    ['a tensor that is null', '{"a":null}', /tensor "a"/],
    [
      'data before an empty tensor that points into it',
      `{"a":${entry('U8', '[4]', '[0,4]')},"b":${entry('U8', '[0]', '[2,2]')}}`,
      /overlap/,
      4,
    ],
    ['metadata that is not a string', '{"__metadata__":{"step":1}}', /__metadata__/],
    ['a tensor that is not an object', '{"a":1}', /"a/],
    ['a missing dtype', '{"a":{"shape":[0],"data_offsets":[0,0]}}', /no dtype/],
    ['a missing shape', '{"a":{"dtype":"U8","data_offsets":[0,0]}}', /no shape/],
    ['missing data_offsets', '{"a":{"dtype":"U8","shape":[0]}}', /no data_offsets/],
    ['a dtype that is not a string', '{"a":{"dtype":8,"shape":[0],"data_offsets":[0,0]}}', /dtype/],
    ['an unknown dtype', one('F128', '[1]', '[0,16]'), /unknown dtype/, 16],
    ['a dtype named like a prototype property', one('constructor', '[0]', '[0,0]'), /unknown dtype/],
    ['a shape that is not an array', one('U8', '{}', '[0,0]'), /shape/],
    ['a negative dimension', one('U8', '[-1]', '[0,1]'), /-1/, 1],
    ['a negative zero', one('U8', '[-0]', '[0,0]'), /-0/],
    ['a fraction', one('U8', '[1.0]', '[0,1]'), /1\.0/, 1],
    ['an exponent', one('U8', '[1e0]', '[0,1]'), /1e0/, 1],
    ['NaN', one('U8', '[NaN]', '[0,1]'), /value/, 1],
    ['Infinity', one('U8', '[Infinity]', '[0,1]'), /value/, 1],
    ['a leading zero', one('U8', '[01]', '[0,1]'), /shape/, 1],
    ['a dimension as a string', one('U8', '["1"]', '[0,1]'), /shape/, 1],
    ['a dimension that is null', one('U8', '[null]', '[0,1]'), /shape/, 1],
    ['a dimension past 2^53', one('U8', '[9007199254740993]', '[0,1]'), /absurdly/, 1],
    ['a dimension past 2^64', one('U8', '[18446744073709551617]', '[0,1]'), /absurdly/, 1],
    ['a product that overflows 64 bits', one('U8', '[4294967296,4294967296]', '[0,0]'), /absurd/],
    [
      'a product that overflows before a zero',
      one('U8', '[9007199254740991,9007199254740991,0]', '[0,0]'),
      /absurd/,
    ],
    ['bits that do not fill a byte', one('F4', '[3]', '[0,1]'), /whole number of bytes/, 1],
    ['too few bytes for the shape', one('F32', '[2]', '[0,7]'), /takes 8/, 7],
    ['too many bytes for the shape', one('F32', '[2]', '[0,9]'), /takes 8/, 9],
    ['a single offset', one('U8', '[1]', '[0]'), /two data_offsets/, 1],
    ['three offsets', one('U8', '[1]', '[0,1,1]'), /two data_offsets/, 1],
    ['descending offsets', one('U8', '[1]', '[1,0]'), /backwards/, 1],
    ['a negative offset', one('U8', '[1]', '[-1,0]'), /-1/, 1],
    ['an offset past 2^53', one('U8', '[1]', '[9007199254740992,9007199254740993]'), /absurdly/],
    ['a range beyond the file', one('U8', '[9]', '[0,9]'), /truncated/, 8],
    ['bytes after the last tensor', one('U8', '[8]', '[0,8]'), /takes? 8|take 8/, 9],
    ['data without a tensor', '{}', /where its tensors take 0/, 1],
    ['a gap at the start', one('U8', '[1]', '[1,2]'), /hole/, 2],
    [
      'a gap between tensors',
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}',
      /hole/,
      3,
    ],
    [
      'an overlap',
      '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
      /overlap/,
      3,
    ],
    [
      'two tensors at the same offset',
      '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}',
      /overlap/,
      2,
    ],
    ['endless nesting', `{"a":${'['.repeat(100_000)}`, /needs|nested/],
    ['endless nesting in an unused field', `{"a":{"x":${'['.repeat(100_000)}`, /nested too deeply/],
  ];

  test.each(broken)('is rejected for %s', async (_, header, message, data = 0) => {
    await refused(read(header, data), message);
  });

  test('is rejected for a header length beyond the file', async () => {
    const path = join(folder, 'length.safetensors');
    for (const length of [3n, 100_000_001n, 2n ** 53n, 2n ** 64n - 1n]) {
      const bytes = Buffer.alloc(10, '{}');
      bytes.writeBigUInt64LE(length);
      await writeFile(path, bytes);
      await refused(readSafetensors(path), /header/);
    }
    const zero = Buffer.alloc(10);
    await writeFile(path, zero);
    await refused(readSafetensors(path), /begin with/);
  });

  test('is rejected wherever it is truncated', async () => {
    const { header, data } = headerOf({
      a: { dtype: 'F32', shape: [3] },
      b: { dtype: 'F16', shape: [2, 2] },
    });
    const whole = Buffer.concat([header, Buffer.alloc(data)]);
    const path = join(folder, 'cut.safetensors');
    for (let length = 0; length < whole.length; length++) {
      await writeFile(path, whole.subarray(0, length));
      await refused(readSafetensors(path), /./);
    }
    await writeFile(path, whole);
    expect((await readSafetensors(path)).tensors.size).toBe(2);
  });

  test('is rejected with the name of its actual format', async () => {
    const others: [bytes: string, message: RegExp][] = [
      ['GGUF\u0003\u0000\u0000\u0000 and more', /GGUF/],
      ['version https://git-lfs.github.com/spec/v1\noid sha256:00', /git lfs pull/],
      ['<!DOCTYPE html><html>', /web page/],
    ];
    for (const [i, [bytes, message]] of others.entries()) {
      const path = join(folder, `other-${i}.safetensors`);
      await writeFile(path, Buffer.from(bytes, 'latin1'));
      await refused(readSafetensors(path), message);
    }
  });
});

test('returns a typed error or a well-formed file for randomly changed bytes', () => {
  const { header, data } = headerOf({
    'model.diffusion_model.input_blocks.0.0.weight': { dtype: 'F16', shape: [32, 4, 3, 3] },
    'model.diffusion_model.input_blocks.0.0.bias': { dtype: 'F16', shape: [32] },
    alphas: { dtype: 'F32', shape: [] },
    position_ids: { dtype: 'I64', shape: [1, 77] },
  });
  const json = header.subarray(8);
  let state = 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  let accepted = 0;
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from(json);
    for (let flips = 1 + random(3); flips > 0; flips--) {
      bytes[random(bytes.length)] =
        random(2) === 0 ? random(256) : '0123456789{}[],:"\\e.-'.charCodeAt(random(21));
    }
    try {
      const { tensors } = parseSafetensorsHeader(bytes, header.length + data, 'fuzzed');
      const sum = [...tensors.values()].reduce((total, { length }) => total + length, 0);
      expect(sum).toBe(data);
      accepted++;
    } catch (error) {
      expect(error).toBeInstanceOf(SafelightError);
      expect((error as SafelightError).code).toBe('INVALID_FILE');
    }
  }
  // Changes within names keep a file well formed.
  expect(accepted).toBeGreaterThan(1000);
});

test('rejects a path that is not a readable file with FILE_NOT_FOUND, and does not wait for a pipe', async () => {
  const pipe = join(folder, 'pipe.safetensors');
  execFileSync('mkfifo', [pipe]);
  await mkdir(join(folder, 'folder.safetensors'));
  for (const path of [
    join(folder, 'nothing.safetensors'),
    join(folder, 'folder.safetensors'),
    pipe,
    join(folder, '0.safetensors', 'x'),
  ]) {
    await expect(openWeights(path)).rejects.toMatchObject({ name: 'SafelightError', code: 'FILE_NOT_FOUND' });
  }
});
