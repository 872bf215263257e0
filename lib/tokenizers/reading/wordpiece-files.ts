/** Reads the vocabulary of a BERT tokenizer: `vocab.txt`, one token per line, or `tokenizer.json`. */
import { join } from 'node:path';
import { z } from 'zod';
import { SafelightError } from '../../errors.js';
import { kindOf, readJson, readText } from '../../files/read.js';

export interface WordPieceVocabulary {
  readonly kind: 'wordpiece';
  /** Tokens by id. */
  readonly tokens: readonly string[];
  readonly ids: Readonly<Record<'cls' | 'sep' | 'pad' | 'unk' | 'mask', number>>;
}

const MAX_VOCABULARY = 64 * 1024 * 1024;
const SPECIAL = { cls: '[CLS]', sep: '[SEP]', pad: '[PAD]', unk: '[UNK]', mask: '[MASK]' } as const;

const tokenizerJson = z.lazy(() =>
  z.object({
    model: z.object({
      type: z.literal('WordPiece').nullish(),
      vocab: z.record(
        z.string(),
        z
          .int()
          .min(0)
          .max(2 ** 24),
      ),
    }),
  }),
);

/**
 * @param folder folder of a tokenizer, or of a checkpoint with its `vocab.txt`
 * @returns null if the folder has neither file
 * @throws INVALID_FILE
 */
export async function readWordPieceFiles(folder: string): Promise<WordPieceVocabulary | null> {
  const text = join(folder, 'vocab.txt');
  if ((await kindOf(text)) === 'file') {
    const lines = (await readText(text, MAX_VOCABULARY)).split(/\r?\n/);
    if (lines.at(-1) === '') lines.pop();
    return vocabularyOf(lines, text);
  }
  const serialized = join(folder, 'tokenizer.json');
  if ((await kindOf(serialized)) !== 'file') return null;
  const parsed = tokenizerJson.safeParse(await readJson(serialized, MAX_VOCABULARY));
  if (!parsed.success) throw damaged(serialized, 'is not a WordPiece tokenizer');
  const tokens: string[] = [];
  for (const [token, id] of Object.entries(parsed.data.model.vocab)) tokens[id] = token;
  for (let id = 0; id < tokens.length; id++)
    if (tokens[id] === undefined) throw damaged(serialized, `has no token with the id ${id}`);
  return vocabularyOf(tokens, serialized);
}

function vocabularyOf(tokens: readonly string[], path: string): WordPieceVocabulary {
  const id = (name: keyof typeof SPECIAL): number => {
    const index = tokens.indexOf(SPECIAL[name]);
    if (index < 0) throw damaged(path, `has no ${SPECIAL[name]}`);
    return index;
  };
  return {
    kind: 'wordpiece',
    tokens,
    ids: { cls: id('cls'), sep: id('sep'), pad: id('pad'), unk: id('unk'), mask: id('mask') },
  };
}

function damaged(path: string, what: string): SafelightError {
  return new SafelightError(
    'INVALID_FILE',
    `${path} ${what}; the file is damaged or another kind of tokenizer: download it again`,
  );
}
