import { beforeAll, expect, it } from 'vitest';
import { chunkPrompt } from '../../lib/conditioning/chunks.js';
import { parsePrompt, plainPrompt } from '../../lib/conditioning/prompt.js';
import { Tokenizer } from '../../lib/tokenizers/tokenizer.js';
import { fixture, STARTER, STARTER_WINDOW } from '../support/text/fixtures.js';

type Windows = [number[], number[]][];
const { chunks } = fixture<{ chunks: { prompt: string; standard?: Windows; starter?: Windows }[] }>(
  'prompts',
);
let standard: Tokenizer;
let starter: Tokenizer;
beforeAll(async () => {
  standard = await Tokenizer.standard();
  starter = await Tokenizer.fromFiles(STARTER, { window: STARTER_WINDOW });
});

/** Returns the token ids and weights of a prompt's windows. */
function windows(tokenizer: Tokenizer, prompt: string): Windows {
  return chunkPrompt(tokenizer, parsePrompt(prompt)).map(({ ids, weights }) => [ids, weights]);
}

it('splits prompts into windows of 77 tokens as A1111 does', () => {
  const rows = chunks.filter((row) => row.standard);
  expect(rows.length).toBeGreaterThan(20);
  for (const { prompt, standard: expected } of rows)
    expect([prompt, windows(standard, prompt)]).toEqual([prompt, expected]);
});

it('splits prompts into the starter’s windows of 32 tokens by the same rules', () => {
  const rows = chunks.filter((row) => row.starter);
  expect(rows.length).toBeGreaterThan(20);
  for (const { prompt, starter: expected } of rows)
    expect([prompt, windows(starter, prompt)]).toEqual([prompt, expected]);
});

it('makes one chunk of an empty prompt', () => {
  const [chunk, ...others] = chunkPrompt(standard, parsePrompt(''));
  expect(others).toEqual([]);
  expect(chunk?.ids).toEqual([49406, ...Array(76).fill(49407)]);
  expect(chunk?.tokens.slice(0, 2)).toEqual(['<|startoftext|>', '<|endoftext|>']);
  expect(chunk?.weights).toEqual(Array(77).fill(1));
  expect(chunk?.eosIndex).toBe(1);
});

it('moves the text after the last comma if it is at most 20 tokens back', () => {
  const words = (count: number) => 'x '.repeat(count);
  const first = (prompt: string) => chunkPrompt(standard, plainPrompt(prompt))[0]!;
  // 75 tokens fit. The comma is the 55th token, 20 before the 76th: everything after it moves.
  expect(first(`${words(55)}, ${words(40)}`).eosIndex).toBe(57);
  expect(first(`${words(54)}, ${words(40)}`).eosIndex).toBe(76);
  const cut = chunkPrompt(standard, plainPrompt(`${words(55)}, ${words(40)}`), { commaBacktrack: 0 });
  expect(cut[0]!.eosIndex).toBe(76);
});

it('pads with 0 after the end token, as OpenCLIP does', async () => {
  const openclip = await Tokenizer.standard({ padId: 0 });
  const [chunk] = chunkPrompt(openclip, parsePrompt('a cat'));
  expect(chunk?.ids).toEqual([49406, 320, 2368, 49407, ...Array(73).fill(0)]);
  expect(chunk?.tokens.slice(1, 6)).toEqual(['a</w>', 'cat</w>', '<|endoftext|>', '!', '!']);
  expect(chunk?.eosIndex).toBe(3);
});

it('pools at the first end token, even if the prompt contains one', () => {
  const [chunk] = chunkPrompt(standard, parsePrompt('a <|endoftext|> b'));
  expect(chunk?.eosIndex).toBe(2);
});

it('reads raw text literally', () => {
  const [chunk] = chunkPrompt(standard, plainPrompt('(cat:1.3)'));
  expect(chunk?.weights).toEqual(Array(77).fill(1));
  expect(chunk?.tokens.slice(1, 8)).toEqual([
    '(</w>',
    'cat</w>',
    ':</w>',
    '1</w>',
    '.</w>',
    '3</w>',
    ')</w>',
  ]);
});

it('works in the smallest window', async () => {
  const tiny = await Tokenizer.standard({ window: 3 });
  expect(chunkPrompt(tiny, parsePrompt('a, b')).map(({ ids }) => ids[1])).toEqual([320, 267, 321]);
});

it.each([
  ['one word', 'a'.repeat(100_000)],
  ['words', 'red apple '.repeat(10_000)],
  ['commas', ', a'.repeat(33_333)],
  ['exclamation marks', '!'.repeat(100_000)],
  ['combining marks on one letter', `a${'\u0301\u0316'.repeat(50_000)}`],
  ['families of emoji', '👩‍👩‍👧'.repeat(12_500)],
  ['characters of three bytes', '漢'.repeat(100_000)],
  ['end tokens', '<|endoftext|>'.repeat(7_692)],
  ['lone surrogates', '\ud800'.repeat(100_000)],
  ['NUL', '\0'.repeat(100_000)],
])('splits 10^5 characters in a short time: %s', (_name, prompt) => {
  const started = performance.now();
  const laid = chunkPrompt(standard, parsePrompt(prompt));
  expect(performance.now() - started).toBeLessThan(4000);
  expect(laid.every(({ ids }) => ids.length === 77 && ids[0] === 49406 && ids.includes(49407))).toBe(true);
});
