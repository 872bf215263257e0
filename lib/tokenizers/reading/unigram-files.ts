/**
 * Reads the `tokenizer.json` of a sentencepiece unigram model (T5). Unsupported features are errors rather than
 * ignored.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { SafelightError } from '../../errors.js';
import { kindOf, readJson } from '../../files/read.js';
import type { PreTokenizer } from '../metaspace.js';
import { PrecompiledMap } from '../precompiled.js';
import type { NormalizerStep } from '../text-normalizer.js';
import type { Piece } from '../unigram.js';
import type { AddedToken } from './tokenizer-special.js';

export interface UnigramFiles {
  readonly kind: 'unigram';
  /** Pieces by id. */
  readonly pieces: readonly Piece[];
  readonly unknown: number;
  readonly normalizer: readonly NormalizerStep[];
  readonly preTokenizer: readonly PreTokenizer[];
  readonly added: readonly AddedToken[];
  /** Id of the end token. */
  readonly eos: number;
  /** Id that fills windows after the end token. */
  readonly pad: number;
}

const MAX_FILE = 64 * 1024 * 1024;
/** Maximum length of a piece in UTF-16 units; sentencepiece's own limit is 16 characters. */
const LONGEST_PIECE = 1024;
/** T5's end and padding tokens. */
const EOS = '</s>';
const PAD = '<pad>';

const typed = z.lazy(() => z.looseObject({ type: z.string() }));
const id = z
  .int()
  .min(0)
  .max(2 ** 24);
const flag = z.boolean().nullish();
const addedToken = z.lazy(() =>
  z.object({
    id,
    content: z.string().min(1),
    normalized: flag,
    lstrip: flag,
    rstrip: flag,
    single_word: flag,
  }),
);
const file = z.lazy(() =>
  z.object({
    normalizer: typed.nullish(),
    pre_tokenizer: typed.nullish(),
    added_tokens: z.array(addedToken).nullish(),
    model: z.object({
      type: z.string().nullish(),
      unk_id: id.nullish(),
      byte_fallback: flag,
      vocab: z
        .array(z.tuple([z.string().max(LONGEST_PIECE), z.number()]))
        .min(1)
        .max(2 ** 24),
    }),
  }),
);
const metaspace = z.lazy(() =>
  z.object({
    replacement: z.string().min(1).max(2),
    add_prefix_space: flag,
    prepend_scheme: z.enum(['always', 'first', 'never']).nullish(),
    split: flag,
  }),
);
const sequence = { normalizers: z.array(typed), pretokenizers: z.array(typed) };

/**
 * Reads the tokenizer of a folder.
 * @throws FILE_NOT_FOUND without a tokenizer.json, INVALID_FILE, UNSUPPORTED_MODEL
 */
export async function readUnigramFiles(folder: string): Promise<UnigramFiles> {
  const path = join(folder, 'tokenizer.json');
  if ((await kindOf(path)) !== 'file') {
    const binary = (await kindOf(join(folder, 'spiece.model'))) === 'file';
    throw new SafelightError(
      'FILE_NOT_FOUND',
      `${folder} has no tokenizer.json${binary ? ', and its spiece.model is not supported' : ''}; ` +
        'copy the tokenizer.json of the same model (for example of T5 v1.1) there',
    );
  }
  return parseUnigram(await readJson(path, MAX_FILE), path);
}

/**
 * @param where the file's name in messages
 * @throws INVALID_FILE, UNSUPPORTED_MODEL
 */
export function parseUnigram(json: unknown, where: string): UnigramFiles {
  const kind = z.object({ model: z.object({ type: z.string() }) }).safeParse(json);
  if (kind.success && kind.data.model.type !== 'Unigram') {
    throw unsupported(where, `is a tokenizer of type ${shown(kind.data.model.type)} instead of Unigram`);
  }
  const { model, ...parts } = check(file, json, where);
  if (model.byte_fallback) throw unsupported(where, 'has byte_fallback');
  const pieces = model.vocab.map(([text, score]) => ({ text, score }));
  if (model.unk_id === undefined || model.unk_id === null || model.unk_id >= pieces.length)
    throw invalid(where, 'has no unk_id in its vocabulary');
  const added = (parts.added_tokens ?? []).map(
    ({ id, content, ...flags }): AddedToken => ({
      id,
      content,
      normalized: flags.normalized ?? false,
      lstrip: flags.lstrip ?? false,
      rstrip: flags.rstrip ?? false,
      singleWord: flags.single_word ?? false,
    }),
  );
  const idOf = (content: string): number => {
    const index =
      added.find((token) => token.content === content)?.id ??
      model.vocab.findIndex(([text]) => text === content);
    if (index < 0) throw unsupported(where, `has no token ${content}`);
    return index;
  };
  return {
    kind: 'unigram',
    pieces,
    unknown: model.unk_id,
    normalizer: normalizerSteps(parts.normalizer ?? null, where),
    preTokenizer: preTokenizerSteps(parts.pre_tokenizer ?? null, where),
    added,
    eos: idOf(EOS),
    pad: idOf(PAD),
  };
}

type Typed = z.infer<typeof typed>;

function normalizerSteps(step: Typed | null, where: string): NormalizerStep[] {
  switch (step?.type) {
    case undefined:
      return [];
    case 'Sequence':
      return check(z.object({ normalizers: sequence.normalizers }), step, where).normalizers.flatMap((step) =>
        normalizerSteps(step, where),
      );
    case 'Precompiled': {
      const { precompiled_charsmap: map } = check(
        z.object({ precompiled_charsmap: z.string() }),
        step,
        where,
      );
      // Empty for models trained with the identity normalization.
      return map === '' ? [] : [{ kind: 'precompiled', map: new PrecompiledMap(map, where) }];
    }
    case 'Strip': {
      const { strip_left, strip_right } = check(
        z.object({ strip_left: z.boolean(), strip_right: z.boolean() }),
        step,
        where,
      );
      return [{ kind: 'strip', left: strip_left, right: strip_right }];
    }
    case 'Replace':
      return [replaceStep(step, where)];
    default:
      throw unsupported(where, `has the normalizer ${shown(step?.type)}`);
  }
}

const pattern = z.union([z.object({ String: z.string().min(1) }), z.object({ Regex: z.string() })]);

function replaceStep(step: Typed, where: string): NormalizerStep {
  const { pattern: source, content } = check(z.object({ pattern, content: z.string() }), step, where);
  if ('String' in source) return { kind: 'replace', pattern: source.String, by: content };
  // The only expression that converters of sentencepiece models write; others may have another meaning in JavaScript.
  if (source.Regex !== ' {2,}') throw unsupported(where, `replaces the expression ${shown(source.Regex)}`);
  return { kind: 'replace', pattern: / {2,}/g, by: content };
}

function preTokenizerSteps(step: Typed | null, where: string): PreTokenizer[] {
  switch (step?.type) {
    case undefined:
      return [];
    case 'Sequence':
      return check(z.object({ pretokenizers: sequence.pretokenizers }), step, where).pretokenizers.flatMap(
        (step) => preTokenizerSteps(step, where),
      );
    case 'WhitespaceSplit':
      return [{ kind: 'whitespace' }];
    case 'Metaspace': {
      const { replacement, add_prefix_space, prepend_scheme, split } = check(metaspace, step, where);
      // Older files have only the flag.
      const prepend = prepend_scheme ?? (add_prefix_space === false ? 'never' : 'always');
      return [{ kind: 'metaspace', mark: replacement, prepend, split: split ?? true }];
    }
    default:
      throw unsupported(where, `has the pre_tokenizer ${shown(step?.type)}`);
  }
}

function check<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw invalid(where, `has an invalid field ${issue?.path.join('.')}: ${issue?.message}`);
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 60);
}

function invalid(where: string, what: string): SafelightError {
  return new SafelightError('INVALID_FILE', `${where} ${what}; the tokenizer is damaged: download it again`);
}

function unsupported(where: string, what: string): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `${where} ${what}, which is not supported; use the tokenizer.json of T5 v1.1`,
  );
}
