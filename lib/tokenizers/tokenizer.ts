/** CLIP's tokenizer, equal to transformers' `CLIPTokenizer` (5.23) on any text. */
import { invalidOption, SafelightError } from '../errors.js';
import { knownKeys } from '../known-keys.js';
import { AddedTokens } from './added-tokens.js';
import { Bpe } from './bpe.js';
import { normalize, splitWords } from './normalize.js';
import { readTokenizerFiles, type TokenizerFiles } from './reading/tokenizer-files.js';
import { standardVocabulary, type Vocabulary } from './vocabulary.js';

type ClipSource = TokenizerFiles | 'standard';

/** Length of CLIP's windows. */
const CLIP_WINDOW = 77;
const LONGEST_WINDOW = 2 ** 20;

export interface TokenizerOptions {
  /** Tokens of the text encoder's window, start and end included (`max_position_embeddings`); a folder's own limit counts if it is lower. */
  readonly window?: number;
  /** Fills windows after the end token; default the vocabulary's own. OpenCLIP's is 0. */
  readonly padId?: number;
}

export class Tokenizer {
  /** Tokens of a window, start and end included. */
  readonly window: number;
  readonly bos: number;
  readonly eos: number;
  readonly pad: number;
  /** The comma that ends a word, where windows are best cut; undefined if the vocabulary has none. */
  readonly comma: number | undefined;
  readonly #bpe: Bpe;
  readonly #added: AddedTokens;
  readonly #vocabulary: Vocabulary;
  /** Of every id, made when first asked for. */
  #strings: ReadonlyMap<number, string> | undefined;

  /** @throws INVALID_FILE where merges and vocabulary do not fit together */
  constructor(vocabulary: Vocabulary, options: TokenizerOptions = {}) {
    checkOptions(options);
    const { vocab, merges, added } = vocabulary;
    this.window = options.window ?? CLIP_WINDOW;
    this.bos = vocabulary.bosId;
    this.eos = vocabulary.eosId;
    this.pad = options.padId ?? vocabulary.padId;
    this.comma = vocab.get(',</w>');
    this.#bpe = new Bpe(vocab, merges, vocabulary.unkId);
    this.#added = new AddedTokens(added, normalize);
    this.#vocabulary = vocabulary;
  }

  /** The tokenizer of a model: its folder's own vocabulary, or CLIP's. */
  static async load(source: ClipSource, options: TokenizerOptions = {}): Promise<Tokenizer> {
    checkOptions(options);
    if (source !== 'standard' && !(typeof source === 'object' && source !== null && 'vocab' in source))
      throw invalidOption('source', "'standard' or what readTokenizerFiles reads", source);
    if (source === 'standard') return Tokenizer.standard(options);
    return new Tokenizer(source, { ...options, window: source.maxLength });
  }

  /**
   * From a folder of `tokenizer.json`, or `vocab.json` and `merges.txt`, with `tokenizer_config.json` and `special_tokens_map.json`.
   * @throws FILE_NOT_FOUND, INVALID_FILE
   */
  static async fromFiles(folder: string, options: TokenizerOptions = {}): Promise<Tokenizer> {
    if (typeof folder !== 'string' || folder === '')
      throw invalidOption('folder', 'path of a folder', folder);
    checkOptions(options);
    const files = await readTokenizerFiles(folder, options.window ?? CLIP_WINDOW);
    return Tokenizer.load(files, options);
  }

  /** CLIP's 49,408 tokens in windows of 77. */
  static async standard(options: TokenizerOptions = {}): Promise<Tokenizer> {
    return new Tokenizer(await standardVocabulary(), options);
  }

  /**
   * Ids of a text, without start, end and padding; never cut. A lone surrogate counts as U+FFFD. Time grows in
   * proportion to the text.
   */
  encode(text: string): number[] {
    if (typeof text !== 'string') throw invalidOption('text', 'string', text);
    const ids: number[] = [];
    for (const segment of this.#added.split(wellFormed(text))) {
      if ('id' in segment) ids.push(segment.id);
      else for (const word of splitWords(segment.text)) for (const id of this.#bpe.encode(word)) ids.push(id);
    }
    return ids;
  }

  /** The vocabulary's string of each id, such as `apple</w>` (transformers' `convert_ids_to_tokens`). */
  tokens(ids: readonly number[]): string[] {
    if (!Array.isArray(ids)) throw invalidOption('ids', 'an array of ids', ids);
    this.#strings ??= stringsOf(this.#vocabulary);
    return ids.map((id) => {
      const token = this.#strings?.get(id);
      if (token === undefined)
        throw new SafelightError('INVALID_OPTION', `The vocabulary has no token with the id ${String(id)}`);
      return token;
    });
  }
}

function checkOptions(options: TokenizerOptions): void {
  knownKeys('options', options, new Set(['window', 'padId']));
  const { window, padId } = options;
  if (window !== undefined && !(Number.isSafeInteger(window) && window >= 3 && window <= LONGEST_WINDOW))
    throw invalidOption('window', `integer between 3 and ${LONGEST_WINDOW}`, window);
  if (padId !== undefined && !(Number.isSafeInteger(padId) && padId >= 0))
    throw invalidOption('padId', 'integer of at least 0', padId);
}

function stringsOf({ vocab, added }: Vocabulary): Map<number, string> {
  const strings = new Map<number, string>();
  for (const [token, id] of vocab) strings.set(id, token);
  for (const { content, id } of added) strings.set(id, content);
  return strings;
}

const surrogates = /\p{Surrogate}/gu;

function wellFormed(text: string): string {
  return text.replace(surrogates, '\uFFFD');
}
