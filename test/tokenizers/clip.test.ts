import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Tokenizer } from '../../lib/tokenizers/tokenizer.js';
import { fixture, STARTER, STARTER_WINDOW } from '../support/text/fixtures.js';

interface Fixture {
  /** text, ids with the standard vocabulary, ids with the starter's */
  rows: [string, number[], number[]][];
  variants: { name: string; files: Record<string, unknown>; pad: number; rows: [string, number[]][] }[];
  tokens: { ids: number[]; tokens: string[] };
}

const expected = fixture<Fixture>('tokenizer');
let standard: Tokenizer;
let starter: Tokenizer;
beforeAll(async () => {
  standard = await Tokenizer.standard();
  starter = await Tokenizer.fromFiles(STARTER, { window: STARTER_WINDOW });
});

const made: string[] = [];
afterEach(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true });
});

/** Copies the starter's vocabulary with additional files; null removes a file of the copy. */
function folderWith(files: Record<string, unknown>): string {
  const folder = mkdtempSync(join(tmpdir(), 'safelight-tokenizer-'));
  made.push(folder);
  for (const name of ['vocab.json', 'merges.txt'])
    if (files[name] !== null) copyFileSync(join(STARTER, name), join(folder, name));
  for (const [name, content] of Object.entries(files))
    if (content !== null)
      writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  return folder;
}

describe('CLIP tokenizer against transformers', () => {
  it('matches on difficult strings with the standard vocabulary', () => {
    for (const [text, ids] of expected.rows) expect([text, standard.encode(text)]).toEqual([text, ids]);
  });

  it('matches on difficult strings with the starter’s vocabulary', () => {
    for (const [text, , ids] of expected.rows) expect([text, starter.encode(text)]).toEqual([text, ids]);
  });

  it.each(expected.variants)(
    'matches for a folder with special tokens: $name',
    async ({ files, pad, rows }) => {
      const named = Object.fromEntries(
        Object.entries(files).map(([name, content]) => [`${name}.json`, content]),
      );
      const tokenizer = await Tokenizer.fromFiles(folderWith(named));
      expect(tokenizer.pad).toBe(pad);
      for (const [text, ids] of rows) expect([text, tokenizer.encode(text)]).toEqual([text, ids]);
    },
  );

  it('matches in the strings of the tokens', () => {
    expect(standard.tokens(expected.tokens.ids)).toEqual(expected.tokens.tokens);
  });
});

it('reports start, end, padding and window of each vocabulary', async () => {
  expect([standard.bos, standard.eos, standard.pad, standard.window]).toEqual([49406, 49407, 49407, 77]);
  expect([starter.bos, starter.eos, starter.pad, starter.window]).toEqual([4012, 4013, 4013, 32]);
  expect((await Tokenizer.standard({ padId: 0 })).pad).toBe(0);
});

it('reads tokenizer.json as it reads vocab.json and merges.txt', async () => {
  const { readFileSync } = await import('node:fs');
  const vocab = JSON.parse(readFileSync(join(STARTER, 'vocab.json'), 'utf8'));
  const lines = readFileSync(join(STARTER, 'merges.txt'), 'utf8').trim().split('\n').slice(1);
  for (const merges of [lines, lines.map((line) => line.split(' '))]) {
    const whole = { model: { type: 'BPE', vocab, merges }, added_tokens: [] };
    const tokenizer = await Tokenizer.fromFiles(
      folderWith({ 'tokenizer.json': whole, 'vocab.json': null, 'merges.txt': null }),
    );
    for (const [text, , ids] of expected.rows.slice(0, 40)) expect(tokenizer.encode(text)).toEqual(ids);
  }
});

it('uses the smaller of the folder’s window and the encoder’s', async () => {
  expect((await Tokenizer.fromFiles(STARTER, { window: 77 })).window).toBe(32);
  expect((await Tokenizer.fromFiles(STARTER, { window: 16 })).window).toBe(16);
  expect((await Tokenizer.fromFiles(folderWith({}), { window: 24 })).window).toBe(24);
});

it('reads a lone surrogate as U+FFFD', () => {
  expect(standard.encode('a\ud800b\udc00\ud83d')).toEqual(standard.encode('a\ufffdb\ufffd\ufffd'));
});

it('merges by rank and not by length, leftmost first', async () => {
  // "ab" + "c" would be longer, but b c ranks first.
  const vocab = {
    a: 0,
    b: 1,
    c: 2,
    'c</w>': 3,
    'bc</w>': 4,
    ab: 5,
    'abc</w>': 6,
    '<|startoftext|>': 7,
    '<|endoftext|>': 8,
  };
  const folder = folderWith({ 'vocab.json': vocab, 'merges.txt': '#version: 0.2\nb c</w>\na b\n' });
  const tokenizer = await Tokenizer.fromFiles(folder);
  expect(tokenizer.encode('abc')).toEqual([0, 4]);
  // A byte that the vocabulary lacks becomes the unknown token.
  expect(tokenizer.encode('ac?')).toEqual([0, 3, 8]);
});

describe('malformed vocabularies', () => {
  const config = { 'tokenizer_config.json': { bos_token: '<start>' } };
  it.each([
    ['a merge that is not a pair', { 'merges.txt': '#version: 0.2\na b c\n' }],
    ['a merge of missing tokens', { 'merges.txt': '#version: 0.2\nzzzz yyyy</w>\n' }],
    ['a vocabulary that is not JSON', { 'vocab.json': '{"a": 1' }],
    ['ids that are not integers', { 'vocab.json': { a: 'b' } }],
    ['negative ids', { 'vocab.json': { a: -1 } }],
    ['a config of another form', { 'tokenizer_config.json': { eos_token: 7 } }],
    ['a tokenizer.json without a model', { 'tokenizer.json': {} }],
    ['an added token without content', { 'tokenizer_config.json': { added_tokens_decoder: { 1: {} } } }],
  ])('rejects %s', async (_name, files) => {
    await expect(Tokenizer.fromFiles(folderWith(files))).rejects.toMatchObject({ code: 'INVALID_FILE' });
  });

  it('rejects a folder without a vocabulary', async () => {
    const folder = folderWith({ 'vocab.json': null, ...config });
    await expect(Tokenizer.fromFiles(folder)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('rejects a window without room for text, and unknown ids', async () => {
    await expect(Tokenizer.standard({ window: 2 })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    expect(() => standard.tokens([49408])).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });
});
