/**
 * Reads the files of a CLIP tokenizer, as transformers 4 and 5 write them: `tokenizer.json`, or `vocab.json` with
 * `merges.txt`; special tokens from `tokenizer_config.json` and `special_tokens_map.json`.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { SafelightError } from '../../errors.js';
import { kindOf, readJson, readText } from '../../files/read.js';
import {
  type AddedToken,
  addedTokensFile,
  joinSpecialTokens,
  numberTokens,
  serializedTokens,
  specialTokensMap,
  tokenizerConfig,
} from './tokenizer-special.js';
import type { WordPieceVocabulary } from './wordpiece-files.js';

/** The tokenizer of a model folder. */
export interface TokenizerFiles {
  /** Ids by token (in byte-level characters, with `</w>` at the end of words). */
  readonly vocab: ReadonlyMap<string, number>;
  /** Pairs `"a b"` in the order of their priority. */
  readonly merges: readonly string[];
  readonly bosId: number;
  readonly eosId: number;
  /** Id of a byte that the vocabulary lacks. */
  readonly unkId: number;
  /** Id that fills windows after the end token. */
  readonly padId: number;
  /** Strings that are tokenized as one token wherever they occur, including the start and end tokens. */
  readonly added: readonly AddedToken[];
  /** Window length in tokens, including start and end tokens. */
  readonly maxLength: number;
}

/** A folder's own tokenizer, CLIP's standard one, or BERT's. */
export type TokenizerSource = TokenizerFiles | 'standard' | WordPieceVocabulary;

const MAX_VOCABULARY = 64 * 1024 * 1024;
const MAX_CONFIG = 4 * 1024 * 1024;

const vocabulary = z.record(
  z.string(),
  z
    .int()
    .min(0)
    .max(2 ** 31 - 1),
);
const pair = z.union([z.string(), z.tuple([z.string(), z.string()])]);
const tokenizerJson = z.lazy(() =>
  z.object({
    model: z.object({ vocab: vocabulary, merges: z.array(pair) }),
    added_tokens: serializedTokens.nullish(),
  }),
);

/**
 * Reads a tokenizer's folder.
 * @param window window length of the encoder; the tokenizer's own limit applies if it is lower
 * @throws FILE_NOT_FOUND, INVALID_FILE
 */
export async function readTokenizerFiles(folder: string, window: number): Promise<TokenizerFiles> {
  const { vocab, merges, serialized } = await readVocabulary(folder);
  const config = await optional(join(folder, 'tokenizer_config.json'), tokenizerConfig);
  const special = joinSpecialTokens({
    config,
    map: await optional(join(folder, 'special_tokens_map.json'), specialTokensMap),
    addedTokens: await optional(join(folder, 'added_tokens.json'), addedTokensFile),
    serialized,
  });
  const added = numberTokens(special.added, vocab);
  const id = (key: 'bos' | 'eos' | 'unk' | 'pad'): number => {
    const id = added.find(({ content }) => content === special[key])?.id ?? vocab.get(special[key]);
    if (id === undefined)
      throw invalid(folder, `has no id for its ${key}_token ${JSON.stringify(special[key].slice(0, 40))}`);
    return id;
  };
  const limit = config?.model_max_length ?? window;
  return {
    vocab,
    merges,
    bosId: id('bos'),
    eosId: id('eos'),
    unkId: id('unk'),
    padId: id('pad'),
    added,
    // transformers writes 1e30 for "no limit".
    maxLength: Number.isInteger(limit) && limit >= 2 && limit < window ? limit : window,
  };
}

interface VocabularyFiles {
  vocab: Map<string, number>;
  merges: string[];
  /** `added_tokens` of a tokenizer.json. */
  serialized: z.infer<typeof serializedTokens> | null;
}

async function readVocabulary(folder: string): Promise<VocabularyFiles> {
  const serialized = join(folder, 'tokenizer.json');
  if ((await kindOf(serialized)) === 'file') {
    const { model, added_tokens } = check(
      tokenizerJson,
      await readJson(serialized, MAX_VOCABULARY),
      serialized,
    );
    const vocab = new Map(Object.entries(model.vocab));
    const merges = model.merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' ')));
    return { vocab, merges: checkMerges(merges, serialized), serialized: added_tokens ?? null };
  }
  const vocabFile = join(folder, 'vocab.json');
  const mergesFile = join(folder, 'merges.txt');
  if ((await kindOf(vocabFile)) !== 'file' || (await kindOf(mergesFile)) !== 'file') {
    throw new SafelightError(
      'FILE_NOT_FOUND',
      `${folder} has neither tokenizer.json nor vocab.json with merges.txt; the model folder is incomplete: download it again`,
    );
  }
  const vocab = new Map(
    Object.entries(check(vocabulary, await readJson(vocabFile, MAX_VOCABULARY), vocabFile)),
  );
  const lines = (await readText(mergesFile, MAX_VOCABULARY)).split(/\r?\n/);
  const merges = lines.filter((line, i) => line !== '' && !(i === 0 && line.startsWith('#version')));
  return { vocab, merges: checkMerges(merges, mergesFile), serialized: null };
}

function checkMerges(merges: string[], path: string): string[] {
  const wrong = merges.find((merge) => !/^[^ ]+ [^ ]+$/.test(merge));
  if (wrong !== undefined)
    throw invalid(path, `has the merge ${JSON.stringify(wrong.slice(0, 60))}, which is not a pair of tokens`);
  return merges;
}

async function optional<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
  return (await kindOf(path)) === 'file' ? check(schema, await readJson(path, MAX_CONFIG), path) : null;
}

function check<T>(schema: z.ZodType<T>, value: unknown, path: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw invalid(path, `has an invalid field ${issue?.path.join('.')}: ${issue?.message}`);
}

function invalid(path: string, what: string): SafelightError {
  return new SafelightError('INVALID_FILE', `${path} ${what}; the tokenizer is damaged: download it again`);
}
