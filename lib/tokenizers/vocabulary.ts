/**
 * CLIP's standard vocabulary for single files, which contain none; folders have their own (reading/tokenizer-files.ts).
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { SafelightError } from '../errors.js';
import { packageFolder } from '../package.js';
import { byteSymbols } from './bpe.js';
import type { TokenizerFiles } from './reading/tokenizer-files.js';
import { numberTokens } from './reading/tokenizer-special.js';

/** A tokenizer without the window length, which the text encoder determines. */
export type Vocabulary = Omit<TokenizerFiles, 'maxLength'>;

const BOS = '<|startoftext|>';
const EOS = '<|endoftext|>';
/** Mark of a token that ends a word. */
const END = '</w>';

let standard: Promise<Vocabulary> | undefined;

/**
 * Returns the 49,408 tokens of OpenAI's CLIP, which OpenCLIP shares. Loaded on first use and cached.
 * @throws FILE_NOT_FOUND
 */
export function standardVocabulary(): Promise<Vocabulary> {
  standard ??= read();
  return standard;
}

/**
 * Reads the merges, which scripts/bundle.mjs wrote into dist/, and derives the tokens in CLIP's order: the symbols of the
 * 256 bytes by code point, the same at the end of a word, the merged pairs, and two marks.
 */
async function read(): Promise<Vocabulary> {
  const merges = (await readMerges()).split('\n');
  // The remaining work takes as long again, so other events are processed first.
  await new Promise(setImmediate);
  const symbols = byteSymbols().sort();
  const tokens = [
    ...symbols,
    ...symbols.map((symbol) => symbol + END),
    ...merges.map((merge) => merge.replace(' ', '')),
    BOS,
    EOS,
  ];
  const vocab = new Map(tokens.map((token, id) => [token, id]));
  const [bosId, eosId] = [vocab.get(BOS)!, vocab.get(EOS)!];
  const flags = { lstrip: false, rstrip: false, singleWord: false };
  return {
    vocab,
    merges,
    bosId,
    eosId,
    unkId: eosId,
    padId: eosId,
    // The flags of openai/clip-vit-large-patch14, whose tokenizer SD1 and SDXL folders contain.
    added: numberTokens(
      [
        { content: BOS, normalized: true, ...flags },
        { content: EOS, normalized: false, ...flags },
      ],
      vocab,
    ),
  };
}

async function readMerges(): Promise<string> {
  const path = join(packageFolder, 'dist/clip-merges.txt.br');
  try {
    return (await promisify(brotliDecompress)(await readFile(path))).toString('utf8');
  } catch (cause) {
    throw new SafelightError(
      'FILE_NOT_FOUND',
      `Cannot read CLIP's vocabulary from ${path}: install safelight again`,
      { cause },
    );
  }
}
