import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parseGgufHeader, readGguf } from '../../../lib/checkpoint/formats/gguf.js';
import { NeedMoreBytes } from '../../../lib/checkpoint/formats/gguf-cursor.js';
import { openWeights } from '../../../lib/checkpoint/formats/open-weights.js';
import { scratch } from '../../support/checkpoint/sparse-files.js';
import {
  type Build,
  type BuildTensor,
  build,
  F16,
  F32,
  Q4_K,
  Q8_0,
  text,
  u8,
  u32,
  u64,
  value,
} from '../../support/gguf/bytes.js';

const folder = scratch();
const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/gguf/${name}`, import.meta.url));
const parse = (bytes: Buffer, size = bytes.length) => parseGgufHeader(bytes, size, 'model.gguf');
const tensor = (more: Partial<BuildTensor> = {}): BuildTensor => ({
  name: 'a',
  ne: [32, 2],
  type: F32,
  offset: 0,
  ...more,
});

describe("a file written by Python's gguf", () => {
  test('has every kind of metadata value', async () => {
    const { metadata, version } = await readGguf(fixture('metadata.gguf'));
    expect(version).toBe(3);
    const values = Object.fromEntries([...metadata].map(([key, found]) => [key, found]));
    expect(values).toMatchObject({
      'general.architecture': { type: 'string', value: 'test' },
      'a.uint8': { type: 'uint8', value: 200 },
      'a.int8': { type: 'int8', value: -100 },
      'a.uint16': { type: 'uint16', value: 60_000 },
      'a.int16': { type: 'int16', value: -30_000 },
      'a.uint32': { type: 'uint32', value: 4_000_000_000 },
      'a.int32': { type: 'int32', value: -2_000_000_000 },
      'a.uint64': { type: 'uint64', value: 2n ** 63n + 1n },
      'a.int64': { type: 'int64', value: -(2n ** 62n) },
      'a.float32': { type: 'float32', value: 0.5 },
      'a.float64': { type: 'float64', value: 1e300 },
      'a.bool': { type: 'bool', value: true },
      'a.string': { type: 'string', value: 'κόσμε\n' },
      'a.strings': { type: 'array', of: 'string', length: 3 },
      'a.numbers': { type: 'array', of: 'int32', length: 4 },
      'general.alignment': { type: 'uint32', value: 64 },
    });
  });

  test("has its tensors in PyTorch's dimension order, at their offsets", async () => {
    const { tensors, metadata } = await openWeights(fixture('metadata.gguf'));
    expect(metadata?.has('a.bool')).toBe(true);
    expect(
      [...tensors.values()].map(({ name, dtype, shape, length }) => [name, dtype, shape, length]),
    ).toEqual([
      ['one', 'F32', [5], 20],
      ['two', 'F16', [2, 3], 12],
      ['three', 'I32', [2, 3, 4], 96],
      ['n'.repeat(84), 'F64', [2, 2, 2, 2], 128],
    ]);
    for (const { offset } of tensors.values()) expect(offset % 64).toBe(0);
  });
});

describe('a valid GGUF file', () => {
  test('may have version 2, no metadata, no tensors and no padding', () => {
    const { tensors, metadata } = parse(build({ version: 2 }));
    expect([tensors.size, metadata.size]).toEqual([0, 0]);
  });

  test('may have gaps between tensors and bytes after the last', () => {
    const tensors = [tensor(), tensor({ name: 'b', offset: 1024 })];
    const found = parse(build({ tensors, data: 5000 })).tensors;
    expect(found.get('b')!.offset - found.get('a')!.offset).toBe(1024);
  });

  test('may have a header longer than the first read', async () => {
    const long = value(8, text('x'.repeat(3_000_000)));
    const bytes = build({ metadata: [['long', long]], tensors: [tensor()], data: 256 });
    expect(() => parse(bytes.subarray(0, 1000), bytes.length)).toThrow(NeedMoreBytes);
    const path = join(folder, 'long.gguf');
    writeFileSync(path, bytes);
    expect((await readGguf(path)).tensors.get('a')).toMatchObject({ shape: [2, 32], length: 256 });
  });
});

const huge = 2n ** 62n;
const wrong: [what: string, file: Build, message: RegExp][] = [
  ['another magic number', { magic: 'GGML' }, /does not begin with "GGUF"/],
  ['version 4', { version: 4 }, /version 4/],
  ['more tensors than bytes', { tensorCount: huge }, /number of tensors/],
  ['more keys than bytes', { keyCount: huge }, /number of metadata keys/],
  ['a count of tensors that the file cannot hold', { tensorCount: 3n, data: 32 }, /promises 3/],
  ['an unknown value type', { metadata: [['k', u32(13)]] }, /unknown value 13/],
  [
    'an array within an array',
    { metadata: [['k', value(9, u32(9), u64(1), u32(4), u64(0))]] },
    /arrays within/,
  ],
  ['an array longer than the file', { metadata: [['k', value(9, u32(4), u64(huge))]] }, /length of "k"/],
  [
    'an array of strings longer than the file',
    { metadata: [['k', value(9, u32(8), u64(99))]] },
    /length of "k"/,
  ],
  ['a string longer than the file', { metadata: [['k', value(8, u64(huge))]] }, /length of "k"/],
  ['a bool of 2', { metadata: [['k', value(7, u8(2))]] }, /has 2 for "k"/],
  ['a string that is not UTF-8', { metadata: [['k', value(8, text(Buffer.from([0xff])))]] }, /not UTF-8/],
  ['an empty key', { metadata: [['', value(7, u8(1))]] }, /empty metadata key/],
  [
    'a duplicate key',
    {
      metadata: [
        ['k', value(7, u8(1))],
        ['k', value(7, u8(1))],
      ],
    },
    /"k" twice/,
  ],
  ['an alignment of 24', { metadata: [['general.alignment', value(4, u32(24))]] }, /alignment 24/],
  ['an alignment of 0', { metadata: [['general.alignment', value(4, u32(0))]] }, /alignment 0/],
  [
    'an alignment of 2 GB',
    { metadata: [['general.alignment', value(4, u32(2 ** 31))]] },
    /no power of two between/,
  ],
  [
    'an alignment that is a string',
    { metadata: [['general.alignment', value(8, text('32'))]] },
    /type string/,
  ],
  ['a tensor without a name', { tensors: [tensor({ name: '' })], data: 256 }, /no name for tensor 0/],
  ['a name of 256 bytes', { tensors: [tensor({ name: 'n'.repeat(256) })], data: 256 }, /at most 255/],
  ['a name that is not UTF-8', { tensors: [tensor({ name: Buffer.from([0xc0]) })], data: 256 }, /not UTF-8/],
  ['a duplicate name', { tensors: [tensor(), tensor({ offset: 256 })], data: 512 }, /tensor "a" twice/],
  ['no dimensions', { tensors: [tensor({ ne: [] })], data: 256 }, /0 dimensions/],
  ['five dimensions', { tensors: [tensor({ ne: [1, 1, 1, 1, 1] })], data: 256 }, /5 dimensions/],
  ['an empty dimension', { tensors: [tensor({ ne: [32, 0] })], data: 256 }, /empty dimension/],
  ['a product past 2^53', { tensors: [tensor({ ne: [2n ** 31n, 2n ** 31n] })], data: 256 }, /absurd shape/],
  ['a product past 2^64', { tensors: [tensor({ ne: [2n ** 33n, 2n ** 33n] })], data: 256 }, /absurd shape/],
  ['an unknown tensor type', { tensors: [tensor({ type: 99 })], data: 256 }, /unknown type 99/],
  ['a tensor type that ggml removed', { tensors: [tensor({ type: 4 })], data: 256 }, /unknown type 4/],
  [
    'rows of 48 in q8_0',
    { tensors: [tensor({ ne: [48, 2], type: Q8_0 })], data: 256 },
    /whole blocks of Q8_0/,
  ],
  [
    'rows of 128 in q4_K',
    { tensors: [tensor({ ne: [128, 2], type: Q4_K })], data: 256 },
    /whole blocks of Q4_K/,
  ],
  ['an offset of 8', { tensors: [tensor({ offset: 8 })], data: 512 }, /no multiple of its alignment 32/],
  ['an offset past 2^53', { tensors: [tensor({ offset: huge })], data: 512 }, /absurd offset/],
  ['an overlap', { tensors: [tensor(), tensor({ name: 'b', offset: 224 })], data: 512 }, /before the end/],
  [
    'unordered tensors',
    { tensors: [tensor({ offset: 256 }), tensor({ name: 'b' })], data: 512 },
    /before the end/,
  ],
  ['truncated data', { tensors: [tensor()], data: 255 }, /truncated/],
  ['missing data', { tensors: [tensor({ type: F16 })] }, /truncated/],
];

describe('an invalid GGUF file', () => {
  test.each(wrong)('is rejected in one sentence for %s', (_, file, message) => {
    expect(() => parse(build(file))).toThrow(
      expect.objectContaining({ code: 'INVALID_FILE', message: expect.stringMatching(message) }),
    );
  });

  test('is rejected by name if it is big-endian or version 1', () => {
    for (const version of [0x03000000, 1]) {
      expect(() => parse(build({ version }))).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_MODEL' }));
    }
  });

  test('is rejected wherever its header is truncated', () => {
    const whole = build({
      metadata: [['k', value(9, u32(8), u64(2), text('a'), text('b'))]],
      tensors: [tensor(), tensor({ name: 'b', offset: 256 })],
      data: 512,
    });
    expect(parse(whole).tensors.size).toBe(2);
    for (let size = 0; size < whole.length; size++) {
      expect(() => parse(whole.subarray(0, size))).toThrow(expect.objectContaining({ code: 'INVALID_FILE' }));
    }
  });

  test('returns a typed error or a well-formed file for randomly changed bytes', () => {
    const whole = build({
      metadata: [
        ['general.alignment', value(4, u32(32))],
        ['k', value(9, u32(8), u64(2), text('a'), text('b'))],
      ],
      tensors: [tensor(), tensor({ name: 'b', ne: [32], type: Q8_0, offset: 256 })],
      data: 320,
    });
    let state = 5;
    const random = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    let refused = 0;
    for (let round = 0; round < 4000; round++) {
      const bytes = Buffer.from(whole);
      for (let n = random(3) + 1; n > 0; n--) bytes[random(220)] = random(256);
      try {
        for (const { offset, length } of parse(bytes).tensors.values())
          expect(offset + length).toBeLessThanOrEqual(bytes.length);
      } catch (error) {
        refused++;
        expect((error as { code?: string }).code).toMatch(/^(INVALID_FILE|UNSUPPORTED_MODEL)$/);
      }
    }
    expect(refused).toBeGreaterThan(2000);
  });
});
