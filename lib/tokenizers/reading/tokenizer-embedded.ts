/** Serializes a tokenizer as JSON in a model file, with the fields of `TokenizerFiles`. */
import { z } from 'zod';
import { SafelightError } from '../../errors.js';
import type { TokenizerFiles } from './tokenizer-files.js';

const MAX_ID = 2 ** 31 - 1;
const id = z.int().min(0).max(MAX_ID);
const schema = z.lazy(() =>
  z.object({
    vocab: z.record(z.string(), id),
    merges: z.array(z.string().regex(/^[^ ]+ [^ ]+$/)),
    bos_id: id,
    eos_id: id,
    unk_id: id,
    pad_id: id,
    added: z.array(
      z.object({
        id,
        content: z.string().min(1),
        normalized: z.boolean(),
        lstrip: z.boolean(),
        rstrip: z.boolean(),
        single_word: z.boolean(),
      }),
    ),
    max_length: z.int().min(2).max(65_536),
  }),
);

export function serializeTokenizer(tokenizer: TokenizerFiles): string {
  const fields: z.infer<typeof schema> = {
    vocab: Object.fromEntries(tokenizer.vocab),
    merges: [...tokenizer.merges],
    bos_id: tokenizer.bosId,
    eos_id: tokenizer.eosId,
    unk_id: tokenizer.unkId,
    pad_id: tokenizer.padId,
    // Explicit fields in a fixed order, so that converting a converted file produces the same bytes.
    added: tokenizer.added.map(({ id, content, normalized, lstrip, rstrip, singleWord }) => ({
      id,
      content,
      normalized,
      lstrip,
      rstrip,
      single_word: singleWord,
    })),
    max_length: tokenizer.maxLength,
  };
  return JSON.stringify(fields);
}

/** @throws INVALID_FILE */
export function parseTokenizer(text: string, where: string): TokenizerFiles {
  const fail = (what: string, cause?: unknown): never => {
    throw new SafelightError(
      'INVALID_FILE',
      `${where} ${what}; the file is damaged: download or convert it again`,
      { cause },
    );
  };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return fail(`is not valid JSON: ${(error as Error).message}`, error);
  }
  const result = schema.safeParse(json);
  if (!result.success) {
    const [issue] = result.error.issues;
    return fail(`is not a tokenizer: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const { vocab, merges, added, ...ids } = result.data;
  return {
    vocab: new Map(Object.entries(vocab)),
    merges,
    bosId: ids.bos_id,
    eosId: ids.eos_id,
    unkId: ids.unk_id,
    padId: ids.pad_id,
    added: added.map(({ single_word, ...token }) => ({ ...token, singleWord: single_word })),
    maxLength: ids.max_length,
  };
}
