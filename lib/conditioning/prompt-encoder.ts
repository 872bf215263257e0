/**
 * Encoding of prompts to text embeddings: tokens, chunks, encoder states, emphasis, and alignment of positive and
 * negative prompt.
 */

import type { TextEncoderSource } from '../checkpoint/model-descriptor.js';
import { invalidOption } from '../errors.js';
import type { PromptTokenizer } from '../tokenizers/prompt-tokenizer.js';
import { type Chunk, chunkPrompt } from './chunks.js';
import type { Emphasis } from './emphasis.js';
import { encodeChunks, type LoadedEncoder } from './encode-chunks.js';
import { type Encoding, emptied, join, padded } from './encoding.js';
import { type PromptPart, parsePrompt, plainPrompt } from './prompt.js';
import {
  type EmbeddingSource,
  type FoundEmbeddings,
  fitsEncoders,
  NameMatcher,
  readNamed,
  type TokenEmbedding,
} from './token-embeddings.js';

export type { LoadedEncoder } from './encode-chunks.js';
export type { Encoding } from './encoding.js';

/** Settings for parsing and encoding a prompt. */
export interface TextSettings {
  /** 1 uses the layer that the model was trained with, 2 the previous one, and so on. */
  readonly clipSkip: number;
  readonly emphasis: Emphasis;
  /** Names of the patch sets to apply, one per text encoder. */
  readonly patches?: readonly (string | undefined)[];
  /** Embeddings that replace their names in the prompt (see `findEmbeddings`); those that do not fit are ignored. */
  readonly embeddings?: readonly TokenEmbedding[];
}

/** Tokenizes and encodes prompts for a model. */
export interface PromptEncoder {
  /** Chunk length of the first encoder in tokens. */
  readonly window: number;
  /** Widths of the encoders' token embeddings. */
  readonly widths: readonly number[];
  /** Splits a prompt into chunks for the first encoder. */
  tokenize(prompt: string, emphasis: Emphasis, embeddings?: readonly TokenEmbedding[]): Chunk[];
  /**
   * Reads the embeddings whose names occur in any of the prompts.
   * @throws errors of reading an embedding whose name occurs
   */
  findEmbeddings(
    prompts: readonly string[],
    emphasis: Emphasis,
    source: EmbeddingSource,
  ): Promise<FoundEmbeddings>;
  /**
   * Encodes a prompt.
   * @throws INVALID_OPTION for a clip skip above the number of layers, ADAPTER_MISMATCH for an embedding that does not
   *   fit into a chunk, NOT_FINITE, ABORTED, DISPOSED
   */
  encode(prompt: string, text: TextSettings, signal?: AbortSignal): Promise<Encoding>;
  /** Encodes a negative prompt; for batch models, an empty one is encoded as zeros. */
  encodeNegative(negative: string, text: TextSettings, signal?: AbortSignal): Promise<Encoding>;
  /** Encodes the positive and negative prompt of guidance and aligns their lengths. */
  encodePair(
    prompt: string,
    negative: string,
    text: TextSettings,
    signal?: AbortSignal,
  ): Promise<EncodingPair>;
  /** Pads the shorter of two encodings to the length of the longer one. */
  align(
    positive: Encoding,
    negative: Encoding,
    text: TextSettings,
    signal?: AbortSignal,
  ): Promise<EncodingPair>;
}

export interface EncodingPair {
  readonly positive: Encoding;
  readonly negative: Encoding;
}

export interface ClipPromptEncoderOptions {
  /** In the order in which their states are concatenated. */
  readonly encoders: readonly LoadedEncoder[];
  /** True if clip skip applies (SD1). */
  readonly clipSkips: boolean;
  /** True if an empty negative prompt is encoded as zeros (SDXL). */
  readonly zeroEmptyNegative: boolean;
}

/** Size of the cache in f32 numbers (64 MB). */
const MAX_CACHED_NUMBERS = 2 ** 24;

/** Prompt encoder for CLIP text encoders: chunks of 77 tokens are encoded separately and concatenated. */
export class ClipPromptEncoder implements PromptEncoder {
  private readonly cache = new Map<string, Encoding>();

  constructor(private readonly options: ClipPromptEncoderOptions) {}

  get window(): number {
    return this.options.encoders[0]!.tokenizer.window;
  }

  get widths(): readonly number[] {
    return this.options.encoders.map(({ source }) => source.config.hidden_size);
  }

  tokenize(prompt: string, emphasis: Emphasis, embeddings: readonly TokenEmbedding[] = []): Chunk[] {
    return chunksOf(this.options.encoders[0]!.tokenizer, prompt, emphasis, this.fitting(embeddings));
  }

  findEmbeddings(
    prompts: readonly string[],
    emphasis: Emphasis,
    source: EmbeddingSource,
  ): Promise<FoundEmbeddings> {
    const { tokenizer } = this.options.encoders[0]!;
    const texts = prompts.flatMap((prompt) =>
      partsOf(prompt, emphasis).flatMap((part) =>
        part.kind === 'text' ? [tokenizer.encode(part.text)] : [],
      ),
    );
    const find = (names: readonly string[]): string[] => {
      const items = names.map((name) => ({ name }));
      const matcher = new NameMatcher(tokenizer, items);
      const found = new Set(texts.flatMap((ids) => [...matcher.within(ids)]));
      return items.filter((item) => found.has(item)).map(({ name }) => name);
    };
    return readNamed(find, source, this.widths);
  }

  async encode(prompt: string, text: TextSettings, signal?: AbortSignal): Promise<Encoding> {
    const { emphasis, patches = [] } = text;
    const embeddings = this.fitting(text.embeddings ?? []);
    const clipSkip = this.options.clipSkips ? text.clipSkip : 1;
    const identities = this.identitiesIn(prompt, emphasis, embeddings);
    const key = JSON.stringify([prompt, emphasis, clipSkip, patches, identities]);
    const cached = this.cache.get(key);
    if (cached) {
      // Marks the entry as most recently used.
      this.cache.delete(key);
      this.cache.set(key, cached);
      return cached;
    }
    const parts = await Promise.all(
      this.options.encoders.map((encoder, index) => {
        const chunks = chunksOf(encoder.tokenizer, prompt, emphasis, embeddings);
        const layer = this.layerOf(encoder.source, text.clipSkip);
        return encodeChunks(encoder, chunks, { index, layer, emphasis, patches: patches[index], signal });
      }),
    );
    const encoding = join(parts);
    this.remember(key, encoding);
    return encoding;
  }

  async encodePair(
    prompt: string,
    negative: string,
    text: TextSettings,
    signal?: AbortSignal,
  ): Promise<EncodingPair> {
    const positive = await this.encode(prompt, text, signal);
    return this.align(positive, await this.encodeNegative(negative, text, signal), text, signal);
  }

  async encodeNegative(negative: string, text: TextSettings, signal?: AbortSignal): Promise<Encoding> {
    const encoded = await this.encode(negative, text, signal);
    return negative === '' && this.options.zeroEmptyNegative ? emptied(encoded) : encoded;
  }

  /** Pads the shorter encoding with encodings of the empty prompt. */
  async align(
    positive: Encoding,
    negative: Encoding,
    text: TextSettings,
    signal?: AbortSignal,
  ): Promise<EncodingPair> {
    if (positive.chunks === negative.chunks) return { positive, negative };
    const empty = await this.encode('', text, signal);
    const chunks = Math.max(positive.chunks, negative.chunks);
    return { positive: padded(positive, chunks, empty), negative: padded(negative, chunks, empty) };
  }

  private fitting(embeddings: readonly TokenEmbedding[]): readonly TokenEmbedding[] {
    return embeddings.filter((embedding) => fitsEncoders(embedding, this.widths));
  }

  /** Returns name and content of the embeddings that occur in a prompt. */
  private identitiesIn(
    prompt: string,
    emphasis: Emphasis,
    embeddings: readonly TokenEmbedding[],
  ): readonly string[][] {
    if (embeddings.length === 0) return [];
    const chunks = this.tokenize(prompt, emphasis, embeddings);
    const used = new Set(chunks.flatMap((chunk) => chunk.embeddings.map(({ embedding }) => embedding)));
    return [...used].map(({ name, identity }) => [name, identity]);
  }

  private layerOf(source: TextEncoderSource, clipSkip: number): number {
    if (!this.options.clipSkips) return source.layer;
    const layer = source.layer - (clipSkip - 1);
    if (layer < 1) throw invalidOption('clipSkip', `an integer between 1 and ${source.layer}`, clipSkip);
    return layer;
  }

  private remember(key: string, encoding: Encoding): void {
    this.cache.set(key, encoding);
    let numbers = 0;
    for (const cached of this.cache.values()) numbers += cached.context.size;
    for (const [oldest, cached] of this.cache) {
      if (numbers <= MAX_CACHED_NUMBERS) break;
      this.cache.delete(oldest);
      numbers -= cached.context.size;
    }
  }
}

/** Parses a prompt (unless emphasis is `none`) and splits it into chunks. */
export function chunksOf(
  tokenizer: PromptTokenizer,
  prompt: string,
  emphasis: Emphasis,
  embeddings: readonly TokenEmbedding[] = [],
): Chunk[] {
  return chunkPrompt(tokenizer, partsOf(prompt, emphasis), { embeddings });
}

function partsOf(prompt: string, emphasis: Emphasis): PromptPart[] {
  return emphasis === 'none' ? plainPrompt(prompt) : parsePrompt(prompt);
}
