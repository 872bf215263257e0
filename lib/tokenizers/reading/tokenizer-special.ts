/**
 * Collects the strings that are single tokens (`<|endoftext|>`, a `pad_token` of "!", words added in training) from a
 * tokenizer's files, in the order of transformers 5 (`PreTrainedTokenizerBase._from_pretrained`,
 * `TokenizersBackend.__init__`).
 */
import { z } from 'zod';

/** A string that is tokenized as one token wherever it occurs. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** True if it is matched in the normalized (lower-case) text, else in the original text. */
  readonly normalized: boolean;
  /** True if it includes the white space before it; `rstrip`: after it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** True if it matches only where no letter or digit is adjacent. */
  readonly singleWord: boolean;
}

const flag = z.boolean().nullish();
const tokenObject = z.object({
  content: z.string(),
  normalized: flag,
  lstrip: flag,
  rstrip: flag,
  single_word: flag,
  special: flag,
});
type TokenObject = z.infer<typeof tokenObject>;
type TokenValue = string | TokenObject;

const named = z.union([z.string(), tokenObject]).nullish();
const extra = z.union([z.array(z.union([z.string(), tokenObject])), z.record(z.string(), z.unknown())]);

/** `special_tokens_map.json`. */
export const specialTokensMap = z.object({
  bos_token: named,
  eos_token: named,
  unk_token: named,
  pad_token: named,
  additional_special_tokens: extra.nullish(),
});
/** `tokenizer_config.json`. */
export const tokenizerConfig = specialTokensMap.extend({
  model_max_length: z.number().nullish(),
  added_tokens_decoder: z.record(z.string().regex(/^\d{1,10}$/), tokenObject).nullish(),
});
/** `added_tokens` of a `tokenizer.json`. */
export const serializedTokens = z.array(tokenObject.extend({ id: z.int().min(0) }));
/** `added_tokens.json`: ids by token. */
export const addedTokensFile = z.record(z.string(), z.int().min(0));

export interface SpecialTokenFiles {
  readonly config: z.infer<typeof tokenizerConfig> | null;
  readonly map: z.infer<typeof specialTokensMap> | null;
  readonly addedTokens: z.infer<typeof addedTokensFile> | null;
  readonly serialized: z.infer<typeof serializedTokens> | null;
}

/** Contents of the special tokens; defaults are those of CLIPTokenizer. */
export interface SpecialTokens {
  readonly bos: string;
  readonly eos: string;
  readonly unk: string;
  readonly pad: string;
  /** Later entries override earlier ones with the same content. */
  readonly added: readonly Omit<AddedToken, 'id'>[];
}

const KEYS = ['bos_token', 'eos_token', 'unk_token', 'pad_token'] as const;

/** Combines the special and added tokens of all files. */
export function joinSpecialTokens(files: SpecialTokenFiles): SpecialTokens {
  const values = new Map<string, TokenValue>();
  const take = (source: SpecialTokenFiles['map'], special: boolean) => {
    for (const key of KEYS) {
      const value = source?.[key];
      if (value) values.set(key, special && typeof value === 'object' ? { ...value, special: true } : value);
    }
  };
  take(files.config, false);
  // A config that lists its added tokens has the newer format and is the only source.
  const declared = files.config?.added_tokens_decoder;
  if (!declared) take(files.map, true);
  const base = declared ? byId(declared) : legacyTokens(files, values);
  for (const [key, value] of values) {
    const same = base.findLast(({ content }) => content === contentOf(value));
    if (same) values.set(key, same);
  }
  const name = (key: (typeof KEYS)[number]) =>
    contentOf(values.get(key) ?? (key === 'bos_token' ? '<|startoftext|>' : '<|endoftext|>'));
  const specials = KEYS.map((key) => values.get(key) ?? name(key));
  const additional = files.config?.additional_special_tokens ?? files.map?.additional_special_tokens;
  const added: TokenValue[] = [...base];
  for (const token of [...specials, ...(Array.isArray(additional) ? additional : [])]) {
    if (
      base.some(({ content }) => content === contentOf(token)) ||
      added.some((candidate) => equal(candidate, token))
    )
      continue;
    added.push(token);
  }
  return {
    bos: name('bos_token'),
    eos: name('eos_token'),
    unk: name('unk_token'),
    pad: name('pad_token'),
    added: added.map(withFlags).filter(({ content }) => content !== ''),
  };
}

/** Returns the tokens of `added_tokens.json`, overridden by those of a `tokenizer.json`. */
function legacyTokens(files: SpecialTokenFiles, values: ReadonlyMap<string, TokenValue>): TokenObject[] {
  const tokens = new Map<number, TokenObject>();
  const special = new Set([...values.values()].map(contentOf));
  for (const [content, id] of Object.entries(files.addedTokens ?? {}))
    tokens.set(id, { content, normalized: !special.has(content), special: special.has(content) });
  for (const { id, ...token } of files.serialized ?? []) tokens.set(id, token);
  return [...tokens].sort(([a], [b]) => a - b).map(([, token]) => token);
}

function byId(decoder: Readonly<Record<string, TokenObject>>): TokenObject[] {
  return Object.entries(decoder)
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, token]) => token);
}

function contentOf(token: TokenValue): string {
  return typeof token === 'string' ? token : token.content;
}

/** Returns a token with its flags; a plain string is a special token, matched in the original text. */
function withFlags(token: TokenValue): Omit<AddedToken, 'id'> {
  const object: TokenObject = typeof token === 'string' ? { content: token, special: true } : token;
  return {
    content: object.content,
    normalized: object.normalized ?? !object.special,
    lstrip: object.lstrip ?? false,
    rstrip: object.rstrip ?? false,
    singleWord: object.single_word ?? false,
  };
}

/** Compares like Python's `in`: a string never equals an object. */
function equal(a: TokenValue, b: TokenValue): boolean {
  if (typeof a !== typeof b) return false;
  return JSON.stringify(withFlags(a)) === JSON.stringify(withFlags(b));
}

/** Assigns ids as the tokenizers library: the vocabulary's id, else the next unused one. */
export function numberTokens(
  tokens: readonly Omit<AddedToken, 'id'>[],
  vocab: ReadonlyMap<string, number>,
): AddedToken[] {
  const byContent = new Map<string, AddedToken>();
  let largest = -1;
  for (const token of tokens) {
    const existing = byContent.get(token.content)?.id ?? vocab.get(token.content);
    const id = existing ?? Math.max(largest + 1, vocab.size);
    largest = Math.max(largest, id);
    byContent.set(token.content, { ...token, id });
  }
  return [...byContent.values()];
}
