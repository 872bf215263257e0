import { beforeAll, describe, expect, it } from 'vitest';
import { type Chunk, type ChunkOptions, chunkPrompt } from '../../lib/conditioning/chunks.js';
import { parsePrompt, plainPrompt } from '../../lib/conditioning/prompt.js';
import type { TokenEmbedding } from '../../lib/conditioning/token-embeddings.js';
import { Tensor } from '../../lib/tensor/tensor.js';
import type { PromptTokenizer } from '../../lib/tokenizers/prompt-tokenizer.js';
import { Tokenizer } from '../../lib/tokenizers/tokenizer.js';

/** Windows of 77 tokens, 75 of them for the prompt. */
let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await Tokenizer.standard();
});

const embedding = (name: string, vectors: number): TokenEmbedding => ({
  name,
  identity: name,
  tables: [Tensor.zeros([vectors, 4])],
});
const words = (count: number) => 'x '.repeat(count);

/** Splits a prompt with the embeddings `one` of a vector and `three` of three. */
function split(prompt: string, options: ChunkOptions = {}): Chunk[] {
  return chunkPrompt(tokenizer, parsePrompt(prompt), {
    embeddings: [embedding('one', 1), embedding('three', 3)],
    ...options,
  });
}

/** Returns name and position of each embedding, by chunk. */
const placed = (chunks: readonly Chunk[]) =>
  chunks.map(({ embeddings }) => embeddings.map(({ embedding: { name }, position }) => [name, position]));
/** Returns the number of tokens of each chunk. */
const lengths = (chunks: readonly Chunk[]) => chunks.map(({ eosIndex }) => eosIndex - 1);

describe('embeddings in chunks', () => {
  it('take a position for each vector and show their name there', () => {
    const [chunk, ...others] = split('a three cat one');
    expect(others).toEqual([]);
    expect(chunk!.tokens.slice(0, 8)).toEqual([
      '<|startoftext|>',
      'a</w>',
      'three',
      'three',
      'three',
      'cat</w>',
      'one',
      '<|endoftext|>',
    ]);
    expect(chunk!.ids.slice(0, 8)).toEqual([49406, 320, 0, 0, 0, 2368, 0, 49407]);
    expect(chunk!.ids).toHaveLength(77);
    expect(chunk!.eosIndex).toBe(7);
    expect(placed([chunk!])).toEqual([
      [
        ['three', 2],
        ['one', 6],
      ],
    ]);
  });

  it('give every vector the weight of their part', () => {
    const [chunk] = split('a (three cat:1.3) [one]');
    expect(chunk!.weights.slice(0, 8)).toEqual([1, 1, 1.3, 1.3, 1.3, 1.3, 1 / 1.1, 1]);
  });

  it('match the longest name, whatever the order of the embeddings', () => {
    const embeddings = [embedding('old', 1), embedding('old oak', 2), embedding('old oak tree house', 3)];
    for (const order of [embeddings, embeddings.toReversed()]) {
      const chunks = split('an old oak tree, old oak tree house, old', { embeddings: order });
      expect(placed(chunks)).toEqual([
        [
          ['old oak', 2],
          ['old oak tree house', 6],
          ['old', 10],
        ],
      ]);
    }
  });

  it('match tokens, not characters: in any case, but not inside a word', () => {
    expect(placed(split('THREE ones (One)'))).toEqual([
      [
        ['three', 1],
        ['one', 5],
      ],
    ]);
  });

  it('do not match across parts of different weight or a BREAK', () => {
    const embeddings = [embedding('old oak', 2)];
    expect(placed(split('old (oak:1.2) old BREAK oak', { embeddings }))).toEqual([[], []]);
    expect(placed(split('(old oak:1.2)', { embeddings }))).toEqual([[['old oak', 1]]]);
  });

  it('are ordinary text without the embedding', () => {
    expect(split('a three cat', { embeddings: [] })).toEqual(
      split('a three cat', { embeddings: [embedding('dog', 1)] }),
    );
  });

  it('start a new chunk if their vectors do not fit, wherever the last comma is', () => {
    const exact = split(`${words(72)}three x`);
    expect([placed(exact), lengths(exact)]).toEqual([
      [[['three', 73]], []],
      [75, 1],
    ]);
    const over = split(`${words(73)}three x`);
    expect([placed(over), lengths(over)]).toEqual([
      [[], [['three', 1]]],
      [73, 4],
    ]);
    // A1111 moves the text after a comma only when the chunk is full.
    const comma = split(`${words(70)}, x x three`);
    expect([placed(comma), lengths(comma)]).toEqual([
      [[], [['three', 1]]],
      [73, 3],
    ]);
  });

  it('move with the text after the last comma of a full chunk', () => {
    // 60 words, a comma, 10 words, 3 vectors and a word fill the chunk; the next word moves the 14 after the comma.
    const chunks = split(`${words(60)}, ${words(10)}three x y one`);
    expect(lengths(chunks)).toEqual([61, 16]);
    expect(placed(chunks)).toEqual([
      [],
      [
        ['three', 11],
        ['one', 16],
      ],
    ]);
    expect(chunks[1]!.tokens.slice(10, 17)).toEqual([
      'x</w>',
      'three',
      'three',
      'three',
      'x</w>',
      'y</w>',
      'one',
    ]);
  });

  it('are placed after the text that a full chunk moves', () => {
    const chunks = split(`${words(60)}, ${words(14)}three`);
    expect([lengths(chunks), placed(chunks)]).toEqual([
      [61, 17],
      [[], [['three', 15]]],
    ]);
    const without = split(`${words(50)}, ${words(24)}three`);
    expect([lengths(without), placed(without)]).toEqual([
      [75, 3],
      [[], [['three', 1]]],
    ]);
  });

  it('stay whole if their name contains a comma', () => {
    const embeddings = [embedding(', then', 4)];
    const chunks = split(`${words(68)}, then x x x y`, { embeddings });
    expect([lengths(chunks), placed(chunks)]).toEqual([
      [75, 1],
      [[[', then', 69]], []],
    ]);
  });

  it('are rejected with more vectors than a chunk has room for', () => {
    const most = split('a most', { embeddings: [embedding('most', 75)] });
    expect([lengths(most), placed(most)]).toEqual([
      [1, 75],
      [[], [['most', 1]]],
    ]);
    expect(() => split('a more', { embeddings: [embedding('more', 76)] })).toThrow(
      expect.objectContaining({
        code: 'ADAPTER_MISMATCH',
        message: expect.stringMatching(/"more" has 76 vectors.*75/),
      }),
    );
  });

  it('do not move the end token, whose id may be that of their placeholders', () => {
    const letters: PromptTokenizer = {
      ...{ window: 8, bos: 9, eos: 0, pad: 0, comma: undefined },
      encode: (text) => [...text].map((letter) => letter.charCodeAt(0)),
      tokens: (ids) => ids.map(String),
    };
    const [chunk] = chunkPrompt(letters, plainPrompt('azb'), { embeddings: [embedding('z', 2)] });
    expect(chunk!.ids).toEqual([9, 97, 0, 0, 98, 0, 0, 0]);
    expect([chunk!.eosIndex, chunk!.tokens]).toEqual([5, ['9', '97', 'z', 'z', '98', '0', '0', '0']]);
  });

  it('ignore names without tokens', () => {
    expect(placed(split('a cat', { embeddings: [embedding('', 1), embedding('  ', 1)] }))).toEqual([[]]);
  });
});
