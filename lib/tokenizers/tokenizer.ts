/** CLIP's tokenizer, equal to transformers' `CLIPTokenizer` (5.23) on any text. */
import { invalidOption, SafelightError } from '../errors.js';
import { knownKeys } from '../known-keys.js';
import { AddedTokens } from './added-tokens.js';
import { Bpe } from './bpe.js';
import { normalize, splitWords } from './normalize.js';
import { readTokenizerFiles, type TokenizerFiles } from './reading/tokenizer-files.js';
import { standardVocabulary, type Vocabulary } from './vocabulary.js';

type ClipSource = TokenizerFiles | 'standard';

/** Length of CLIP's windows in tokens. */
const CLIP_WINDOW = 77;
const LONGEST_WINDOW = 2 ** 20;

export interface TokenizerOptions {
  /**
   * Window length of the text encoder in tokens, including start and end tokens (`max_position_embeddings`), 3 to
   * 100000; a folder's own limit applies if it is lower. Default 77.
   */
  readonly window?: number;
  /** Id that fills windows after the end token; default the vocabulary's own. 0 for OpenCLIP. */
  readonly padId?: number;
}

export class Tokenizer {
  /** Window length in tokens, including start and end tokens. */
  readonly window: number;
  readonly bos: number;
  readonly eos: number;
  readonly pad: number;
  /**
   * Id of the comma at the end of a word, after which prompts are preferably split into windows; undefined if the
   * vocabulary has none.
   */
  readonly comma: number | undefined;
  readonly #bpe: Bpe;
  readonly #added: AddedTokens;
  readonly #vocabulary: Vocabulary;
  /** Strings by id, created on first use. */
  #strings: ReadonlyMap<number, string> | undefined;

  /** @throws INVALID_FILE if a merge refers to a token that the vocabulary lacks */
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

  /** Creates the tokenizer of a model: its folder's own vocabulary, or CLIP's standard one. */
  static async load(source: ClipSource, options: TokenizerOptions = {}): Promise<Tokenizer> {
    checkOptions(options);
    if (source !== 'standard' && !(typeof source === 'object' && source !== null && 'vocab' in source))
      throw invalidOption('source', "'standard' or the result of readTokenizerFiles", source);
    if (source === 'standard') return Tokenizer.standard(options);
    return new Tokenizer(source, { ...options, window: source.maxLength });
  }

  /**
   * Loads the tokenizer of a folder with `tokenizer.json`, or `vocab.json` and `merges.txt`, and optionally
   * `tokenizer_config.json` and `special_tokens_map.json`.
   * @throws FILE_NOT_FOUND, INVALID_FILE
   */
  static async fromFiles(folder: string, options: TokenizerOptions = {}): Promise<Tokenizer> {
    if (typeof folder !== 'string' || folder === '')
      throw invalidOption('folder', 'the path of a folder', folder);
    checkOptions(options);
    const files = await readTokenizerFiles(folder, options.window ?? CLIP_WINDOW);
    return Tokenizer.load(files, options);
  }

  /** Creates the tokenizer of CLIP's standard vocabulary: 49,408 tokens, windows of 77. */
  static async standard(options: TokenizerOptions = {}): Promise<Tokenizer> {
    return new Tokenizer(await standardVocabulary(), options);
  }

  /**
   * Returns the ids of a text without start token, end token and padding, never truncated. A lone surrogate is read as
   * U+FFFD. The time is linear in the length of the text.
   */
  encode(text: string): number[] {
    if (typeof text !== 'string') throw invalidOption('text', 'a string', text);
    const ids: number[] = [];
    for (const segment of this.#added.split(wellFormed(text))) {
      if ('id' in segment) ids.push(segment.id);
      else for (const word of splitWords(segment.text)) for (const id of this.#bpe.encode(word)) ids.push(id);
    }
    return ids;
  }

  /**
   * Returns the vocabulary's string of each id, such as `apple</w>` (transformers' `convert_ids_to_tokens`).
   * @throws INVALID_OPTION for an unknown id
   */
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
    throw invalidOption('window', `an integer between 3 and ${LONGEST_WINDOW}`, window);
  if (padId !== undefined && !(Number.isSafeInteger(padId) && padId >= 0))
    throw invalidOption('padId', 'an integer of at least 0', padId);
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
