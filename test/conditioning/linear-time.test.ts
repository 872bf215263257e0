/** Every prompt is parsed and tokenized in time proportional to its length. */
import { beforeAll, describe, expect, it } from 'vitest';
import { chunkPrompt } from '../../lib/conditioning/chunks.js';
import { parsePrompt } from '../../lib/conditioning/prompt.js';
import type { PromptTokenizer } from '../../lib/tokenizers/prompt-tokenizer.js';
import { Tokenizer } from '../../lib/tokenizers/tokenizer.js';
import { WordPieceTokenizer } from '../../lib/tokenizers/wordpiece.js';
import { growth } from '../support/text/growth.js';

/** Letters without a pattern, so that no merge repeats. */
function letters(length: number): string {
  let state = 1;
  return Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return String.fromCharCode(97 + ((state >> 16) % 26));
  }).join('');
}

const prompts: Readonly<Record<string, (n: number) => string>> = {
  'one word': letters,
  'one letter over and over': (n) => 'a'.repeat(n),
  words: (n) => 'red apple '.repeat(n / 10),
  'words as long as BERT reads them': (n) => `${'a'.repeat(99)}c `.repeat(n / 101),
  'one number': (n) => '1'.repeat(n),
  'open brackets': (n) => '('.repeat(n),
  'brackets of both kinds, crossing': (n) => '([a'.repeat(n / 6) + ')]'.repeat(n / 4),
  'nested weights': (n) => '(a:1.1'.repeat(n / 12) + ':1.1)'.repeat(n / 12),
  colons: (n) => ':1'.repeat(n / 2),
  'a weight of many digits': (n) => `(a:${'1'.repeat(n)}`,
  'a colon and spaces': (n) => `(a:${' '.repeat(n)}x`,
  spaces: (n) => ' '.repeat(n),
  'spaces around BREAK': (n) => `${' '.repeat(n / 2)}BREAK${' '.repeat(n / 2)}`,
  BREAKs: (n) => 'BREAK '.repeat(n / 6),
  commas: (n) => 'a, '.repeat(n / 3),
  emoji: (n) => '👩‍👩‍👧'.repeat(n / 8),
  'marks on one letter': (n) => `e${'\u0301\u0323'.repeat(n / 2)}`,
  'marks on each letter': (n) => 'e\u0323\u0301'.repeat(n / 3),
  'syllables in pieces': (n) => '\u1112\u1161\u11ab'.repeat(n / 3),
  ideographs: (n) => '漢'.repeat(n),
  backslashes: (n) => '\\'.repeat(n),
  'special tokens': (n) => '<|endoftext|>[SEP]'.repeat(n / 18),
  'beginnings of special tokens': (n) => '<|end[SE'.repeat(n / 8),
};

let clip: PromptTokenizer;
const bert = new WordPieceTokenizer(
  {
    kind: 'wordpiece',
    tokens: ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', '##a', 'red', 'apple', ',', '(', '1', '##1'],
    ids: { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 },
  },
  77,
);
beforeAll(async () => {
  clip = await Tokenizer.standard();
});

describe.each(Object.entries(prompts))('%s', (_name, make) => {
  it('is parsed and tokenized for CLIP in linear time', () => {
    expect(growth(make, (prompt) => void chunkPrompt(clip, parsePrompt(prompt)))).toBeLessThan(6);
  });

  it('is tokenized for BERT in linear time', () => {
    expect(growth(make, (prompt) => void chunkPrompt(bert, parsePrompt(prompt)))).toBeLessThan(6);
  });
});

it('splits words for BERT between characters outside the basic multilingual plane', () => {
  const tokenizer = new WordPieceTokenizer(
    {
      kind: 'wordpiece',
      tokens: ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '𝒂', '##𝒃', '##𝒃𝒂', '##aa'],
      ids: { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 },
    },
    77,
  );
  expect(tokenizer.encode('𝒂𝒃𝒂aa 𝒂𝒃 𝒃')).toEqual([5, 7, 8, 5, 6, 1]);
  expect(tokenizer.encode(`𝒂${'𝒃'.repeat(99)} 𝒂${'𝒃'.repeat(100)}`)).toEqual([5, ...Array(99).fill(6), 1]);
});
