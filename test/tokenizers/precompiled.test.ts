import { describe, expect, test } from 'vitest';
import { PrecompiledMap } from '../../lib/tokenizers/precompiled.js';
import { tokenizerJson } from '../support/text/t5.js';

const base64 = tokenizerJson().normalizer.precompiled_charsmap;
const blob = Buffer.from(base64, 'base64');
const map = new PrecompiledMap(base64, 'tokenizer.json');

function failure(call: () => unknown): { code?: string; message?: string } {
  try {
    call();
    return {};
  } catch (error) {
    return error as { code: string; message: string };
  }
}

describe("sentencepiece's character map nmt_nfkc", () => {
  test.each([
    ['plain text', 'plain text'],
    ['ｆｕｌｌ　ｗｉｄｔｈ', 'full width'],
    ['ﬃ ½ ①', 'ffi 1⁄2 1'],
    ['e\u0301', 'é'],
    ['\t\n\u00a0\u2003', '    '],
    // One grapheme cluster of at most five bytes: the replacement of its first character replaces the whole,
    // as in the library.
    ['ｆ\u0301 x', 'f x'],
    ['e\u0301\u0301', 'é'],
    // One grapheme cluster of two characters: the replacement of the first replaces both.
    ['a\r\nb', 'a b'],
    ['a\u200bb\u0001c', 'a bc'],
    ['\0', '\0'],
    ['', ''],
  ])('maps %j to %j', (text, normalized) => {
    expect(map.normalize(text)).toBe(normalized);
  });
});

test('splits a long text into the same grapheme clusters as its parts', () => {
  const mixed = 'e\u0301👍🏽🇩🇪🇯🇵 ｆ\r\nｶﾞ\u0600\u0661 ';
  const once = map.normalize(mixed);
  for (let before = 0; before < 130; before++)
    expect(map.normalize(`${'x'.repeat(before) + mixed}x`)).toBe(`${'x'.repeat(before)}${once}x`);
  const marks = `a${'\u0301'.repeat(5000)}`;
  expect(map.normalize(marks)).toBe(`a${'\u0301'.repeat(5000)}`);
  expect(map.normalize('ｆ\u0301\u0301 '.repeat(5000)) === 'f\u0301\u0301 '.repeat(5000)).toBe(true);
});

describe('a damaged character map', () => {
  const damaged = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  const size = blob.readUInt32LE(0);
  const trie = (...units: number[]) => {
    const bytes = Buffer.alloc(4 + 4 * units.length);
    bytes.writeUInt32LE(4 * units.length);
    units.forEach((unit, i) => {
      bytes.writeUInt32LE(unit >>> 0, 4 + 4 * i);
    });
    return bytes;
  };
  const cases: [string, string][] = [
    ['invalid base64', '***'],
    ['base64 of a wrong length', 'AAAAA'],
    ['an empty blob', damaged(Buffer.alloc(0))],
    ['three bytes', damaged(Buffer.alloc(3))],
    ['an empty trie', damaged(Buffer.alloc(8))],
    ['a trie longer than the blob', damaged(blob.subarray(0, 100))],
    ['a trie that ends inside a unit', damaged(Buffer.from([6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))],
    ['a trie of four gigabytes', damaged(Buffer.from([0xfc, 0xff, 0xff, 0xff, 0, 0, 0, 0]))],
    ['replacements that are not UTF-8', damaged(Buffer.concat([trie(0), Buffer.from([0xff, 0xfe])]))],
    ['a missing last byte of the replacements', damaged(Buffer.concat([blob, Buffer.from([0xe2, 0x96])]))],
  ];
  test.each(cases)('with %s is rejected when it is read', (_, bad) => {
    expect(failure(() => new PrecompiledMap(bad, 'tokenizer.json'))).toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringContaining('precompiled_charsmap'),
    });
  });

  test('fails at most with a typed error, wherever its bytes are changed', () => {
    const text = 'a é ｆ ﬃ ½ e\u0301 \u200b 漢 😀 \r\n';
    let seed = 7;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    for (let round = 0; round < 60; round++) {
      const bytes = Buffer.from(blob);
      for (let i = 0; i < 20_000; i++) bytes[4 + random(size)] = random(256);
      const { code } = failure(() => new PrecompiledMap(damaged(bytes), 'tokenizer.json').normalize(text));
      expect([undefined, 'INVALID_FILE']).toContain(code);
    }
  });

  test('with a leaf that points past the replacements fails when a text reaches it', () => {
    // The root leads to "a" at 97 (offset 0), whose leaf is at its own index xor 1.
    const units = Array<number>(256).fill(0);
    units[97] = 97 | (1 << 8) | (1 << 10);
    units[96] = 0x80000000 | 1000;
    const bad = new PrecompiledMap(damaged(Buffer.concat([trie(...units), Buffer.from('x\0')])), 'f');
    expect(bad.normalize('b')).toBe('b');
    expect(failure(() => bad.normalize('a'))).toMatchObject({ code: 'INVALID_FILE' });
  });
});
