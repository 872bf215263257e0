import { mkdirSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { run, workFolder } from '../support/cli.js';
import { writeFolder, writeSingleFile } from '../support/tiny-models.js';

interface Tokens {
  chunks: { ids: number[]; tokens: string[]; weights: number[] }[];
}

const folder = workFolder();
afterAll(folder.remove);

async function tokens(...args: string[]): Promise<Tokens> {
  const { code, stdout } = await run(['tokenize', '--json', ...args]);
  expect(code).toBe(0);
  return JSON.parse(stdout) as Tokens;
}

describe('safelight tokenize', () => {
  it("prints the starter's tokens, padded to its window", async () => {
    const { chunks } = await tokens('a red apple');
    expect(chunks).toHaveLength(1);
    expect(chunks[0]!.tokens.slice(0, 5)).toEqual([
      '<|startoftext|>',
      'a</w>',
      'red</w>',
      'apple</w>',
      '<|endoftext|>',
    ]);
    expect(chunks[0]!.ids).toHaveLength(32);
    expect(chunks[0]!.tokens).toHaveLength(32);
    expect(chunks[0]!.weights).toEqual(new Array(32).fill(1));
  });

  it('reads prompt syntax, or the text literally with --raw', async () => {
    const parsed = (await tokens('a (red:1.3) apple BREAK road')).chunks;
    expect(parsed).toHaveLength(2);
    expect(parsed[0]!.tokens.slice(1, 4)).toEqual(['a</w>', 'red</w>', 'apple</w>']);
    expect(parsed[0]!.weights.slice(0, 5)).toEqual([1, 1, 1.3, 1, 1]);
    const raw = (await tokens('a (red:1.3) apple', '--raw')).chunks;
    expect(raw[0]!.tokens).toContain('(</w>');
    expect(new Set(raw[0]!.weights)).toEqual(new Set([1]));
  });

  it('splits long prompts into windows', async () => {
    const { chunks } = await tokens('red '.repeat(70));
    expect(chunks.map((chunk) => chunk.ids.length)).toEqual([32, 32, 32]);
    expect(chunks.flatMap((chunk) => chunk.tokens).filter((token) => token === 'red</w>')).toHaveLength(70);
  });

  it("reads the vocabulary of a folder, and CLIP's for a single file", async () => {
    mkdirSync(folder.path, { recursive: true });
    const own = await tokens('a red apple', '--model', writeFolder('sd2', folder.file('sd2')));
    expect(own.chunks[0]!.ids[0]).toBe(652);
    const file = writeSingleFile('sd2', folder.file('sd2.safetensors'));
    const standard = await tokens('a red apple', '--model', file);
    // OpenCLIP pads with 0 after the end token.
    expect(standard.chunks[0]!.ids.slice(0, 7)).toEqual([49406, 320, 736, 3055, 49407, 0, 0]);
  });

  it('prints a table without --json', async () => {
    const { stdout } = await run(['tokenize', 'a (red:1.3) apple']);
    expect(stdout).toMatch(/1\.3 +red<\/w>/);
    expect(stdout).toContain('of padding');
  });

  it('accepts a prompt of 100,000 characters', async () => {
    const { chunks } = await tokens('apple '.repeat(16_667).trim());
    expect(chunks.length).toBe(Math.ceil(16_667 / 30));
  });
});
