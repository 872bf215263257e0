import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseUnigram } from '../../lib/tokenizers/reading/unigram-files.js';
import { Unigram } from '../../lib/tokenizers/unigram.js';
import { UnigramTokenizer } from '../../lib/tokenizers/unigram-tokenizer.js';
import { readT5Fixture, tokenizerJson } from '../support/text/t5.js';

interface Expected {
  readonly rows: readonly (readonly [string, number[]])[];
  readonly variants: readonly {
    readonly name: string;
    readonly changes: Record<string, unknown>;
    readonly rows: Expected['rows'];
  }[];
  readonly windows: readonly (readonly [string, number, number[], number[]])[];
  readonly tokens: readonly string[];
}

const whole = tokenizerJson();
const expected = readT5Fixture<Expected>('ids');
const make = (changes: Record<string, unknown> = {}) =>
  new UnigramTokenizer(parseUnigram({ ...whole, ...changes }, 'tokenizer.json'));

const folder = mkdtempSync(join(tmpdir(), 'safelight-unigram-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function failure(call: () => unknown): { code?: string; message?: string } {
  try {
    call();
    return {};
  } catch (error) {
    return error as { code: string; message: string };
  }
}

describe('T5 tokenizer', () => {
  const tokenizer = make();

  test('returns the ids of transformers for 200 difficult strings', () => {
    expect(expected.rows.length).toBeGreaterThan(200);
    for (const [text, ids] of expected.rows)
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
  });

  test.each(expected.variants)('returns the ids of the tokenizers library: $name', ({ changes, rows }) => {
    const map = whole.normalizer.precompiled_charsmap;
    const other = make(JSON.parse(JSON.stringify(changes).replace('"MAP"', JSON.stringify(map))));
    for (const [text, ids] of rows) expect(other.encode(text), JSON.stringify(text)).toEqual(ids);
  });

  test('pads and truncates windows as transformers does, with a mask', () => {
    for (const [text, length, ids, mask] of expected.windows)
      expect(tokenizer.window(text, length), `${text} in ${length}`).toEqual({ ids, mask });
  });

  test('reads a lone surrogate as U+FFFD', () => {
    expect(tokenizer.encode('a\ud800b\udc00')).toEqual(tokenizer.encode('a\ufffdb\ufffd'));
    expect(tokenizer.encode('\udc00\ud800')).toEqual(tokenizer.encode('\ufffd\ufffd'));
  });

  test('returns the string of each id', () => {
    expect(tokenizer.tokens(expected.rows[3]![1])).toEqual(expected.tokens);
    expect(tokenizer.tokens([0, 1, 2])).toEqual(['<pad>', '</s>', '<unk>']);
    expect(failure(() => tokenizer.tokens([99_999])).code).toBe('INVALID_OPTION');
    expect(failure(() => tokenizer.tokens([-1])).code).toBe('INVALID_OPTION');
  });

  test('encodes a long text in linear time', () => {
    const started = performance.now();
    expect(tokenizer.encode('a photo of an image, 😀 '.repeat(8000)).length).toBeGreaterThan(50_000);
    expect(tokenizer.encode(' '.repeat(200_000))).toEqual([]);
    expect(tokenizer.encode('x'.repeat(100_000)).length).toBeGreaterThan(1000);
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  test.each([
    ['window', () => tokenizer.window('a', 0)],
    ['window', () => tokenizer.window('a', 1.5)],
    ['text', () => tokenizer.encode(5 as unknown as string)],
    ['ids', () => tokenizer.tokens('1' as unknown as number[])],
  ])('rejects a malformed %s', (_, call) => {
    expect(failure(call).code).toBe('INVALID_OPTION');
  });
});

describe('unigram model', () => {
  const model = new Unigram(
    [
      { text: '<unk>', score: 0 },
      { text: 'a', score: -2 },
      { text: 'b', score: -2 },
      { text: 'ab', score: -4 },
      { text: 'abc', score: -20 },
      { text: 'bc', score: -3 },
    ],
    0,
  );

  test('chooses the segmentation with the largest sum of scores', () => {
    // a + bc is -5, abc -20; c alone is unknown.
    expect(model.encode('abc')).toEqual([1, 5]);
  });

  test('prefers the earlier start if two segmentations have the same sum', () => {
    // ab is -4, and so is a + b.
    expect(model.encode('ab')).toEqual([3]);
  });

  test('joins consecutive unknown characters', () => {
    expect(model.encode('xyz')).toEqual([0]);
    expect(model.encode('x😀ax')).toEqual([0, 1, 0]);
    expect(model.encode('')).toEqual([]);
  });
});

describe('a tokenizer.json', () => {
  const { model } = whole;
  const cases: [string, unknown, string, RegExp][] = [
    ['text', 'tokenizer', 'INVALID_FILE', /damaged/],
    ['null', null, 'INVALID_FILE', /damaged/],
    [
      'another kind of model',
      { ...whole, model: { type: 'BPE', vocab: {}, merges: [] } },
      'UNSUPPORTED_MODEL',
      /"BPE"/,
    ],
    [
      'a vocabulary as an object',
      { ...whole, model: { ...model, vocab: { a: 1 } } },
      'INVALID_FILE',
      /vocab/,
    ],
    ['an empty vocabulary', { ...whole, model: { ...model, vocab: [] } }, 'INVALID_FILE', /vocab/],
    ['a score that is text', { ...whole, model: { ...model, vocab: [['a', 'b']] } }, 'INVALID_FILE', /vocab/],
    [
      'a piece of megabytes',
      { ...whole, model: { ...model, vocab: [['a'.repeat(2 ** 20), 0]] } },
      'INVALID_FILE',
      /vocab/,
    ],
    ['no unk_id', { ...whole, model: { ...model, unk_id: null } }, 'INVALID_FILE', /unk_id/],
    [
      'an unk_id beyond the vocabulary',
      { ...whole, model: { ...model, unk_id: 1e6 } },
      'INVALID_FILE',
      /unk_id/,
    ],
    [
      'byte fallback',
      { ...whole, model: { ...model, byte_fallback: true } },
      'UNSUPPORTED_MODEL',
      /byte_fallback/,
    ],
    [
      'an unsupported normalizer',
      { ...whole, normalizer: { type: 'BertNormalizer' } },
      'UNSUPPORTED_MODEL',
      /BertNormalizer/,
    ],
    ['a normalizer without a type', { ...whole, normalizer: { kind: 'NFC' } }, 'INVALID_FILE', /normalizer/],
    [
      'an unsupported expression',
      { ...whole, normalizer: { type: 'Replace', pattern: { Regex: '(a+)+$' }, content: '' } },
      'UNSUPPORTED_MODEL',
      /expression/,
    ],
    [
      'an unsupported pre_tokenizer',
      { ...whole, pre_tokenizer: { type: 'ByteLevel' } },
      'UNSUPPORTED_MODEL',
      /ByteLevel/,
    ],
    [
      'an empty replacement mark',
      { ...whole, pre_tokenizer: { type: 'Metaspace', replacement: '' } },
      'INVALID_FILE',
      /replacement/,
    ],
    [
      'no end token',
      { ...whole, added_tokens: [], model: { ...model, vocab: [['<unk>', 0]], unk_id: 0 } },
      'UNSUPPORTED_MODEL',
      /<\/s>/,
    ],
  ];
  test.each(cases)('with %s is rejected with a typed error', (_, json, code, message) => {
    expect(failure(() => parseUnigram(json, 'tokenizer.json'))).toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  test("is read from a folder, and a folder with only spiece.model is rejected with the missing file's name", async () => {
    const error = await UnigramTokenizer.fromFiles(folder).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringContaining('tokenizer.json'),
    });
    writeFileSync(join(folder, 'spiece.model'), '');
    const other = await UnigramTokenizer.fromFiles(folder).catch((reason: unknown) => reason);
    expect(other).toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringContaining('spiece.model is not read'),
    });
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(whole));
    const [text, ids] = expected.rows[4]!;
    expect((await UnigramTokenizer.fromFiles(folder)).encode(text)).toEqual(ids);
  });
});
