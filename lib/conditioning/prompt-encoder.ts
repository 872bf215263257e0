/**
 * Encoding of prompts to text embeddings: tokens, chunks, encoder states, emphasis, and alignment of positive and
 * negative prompt.
 */

import type { TextEncoderSource } from '../checkpoint/model-descriptor.js';
import { invalidOption, SafelightError } from '../errors.js';
import type { TextEncoder } from '../modules/text-encoder.js';
import { throwIfNotFinite } from '../tensor/finite.js';
import { Tensor } from '../tensor/tensor.js';
import type { PromptTokenizer } from '../tokenizers/prompt-tokenizer.js';
import { type Chunk, chunkPrompt } from './chunks.js';
import { applyEmphasis, type Emphasis, padChunks } from './emphasis.js';
import { parsePrompt, plainPrompt } from './prompt.js';

/** Settings for parsing and encoding a prompt. */
export interface TextSettings {
  /** 1 uses the layer that the model was trained with, 2 the previous one, and so on. */
  readonly clipSkip: number;
  readonly emphasis: Emphasis;
  /** Names of the patch sets to apply, one per text encoder. */
  readonly patches?: readonly (string | undefined)[];
}

/** Text embeddings of a prompt. */
export interface Encoding {
  /** `[1, T, D]`: the states of all chunks, with those of several encoders concatenated along D. */
  readonly context: Tensor;
  /** Pooled embedding `[1, P]` of the first chunk, for models that use it (SDXL); otherwise undefined. */
  readonly pooled: Tensor | undefined;
  /** Number of chunks. */
  readonly chunks: number;
}

/** A loaded text encoder with its tokenizer and description. */
export interface LoadedEncoder {
  readonly encoder: TextEncoder;
  readonly tokenizer: PromptTokenizer;
  readonly source: TextEncoderSource;
}

/** Tokenizes and encodes prompts for a model. */
export interface PromptEncoder {
  /** Chunk length of the first encoder in tokens. */
  readonly window: number;
  /** Splits a prompt into chunks for the first encoder. */
  tokenize(prompt: string, emphasis: TextSettings['emphasis']): Chunk[];
  /**
   * Encodes a prompt.
   * @throws INVALID_OPTION for a clip skip above the number of layers, NOT_FINITE, ABORTED, DISPOSED
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

/** Chunks per run of the text encoder, which bounds its memory independently of the prompt's length. */
const CHUNKS_PER_RUN = 8;
/** Size of the cache in f32 numbers (64 MB). */
const MAX_CACHED_NUMBERS = 2 ** 24;

/** Prompt encoder for CLIP text encoders: chunks of 77 tokens are encoded separately and concatenated. */
export class ClipPromptEncoder implements PromptEncoder {
  private readonly cache = new Map<string, Encoding>();

  constructor(private readonly options: ClipPromptEncoderOptions) {}

  get window(): number {
    return this.options.encoders[0]!.tokenizer.window;
  }

  tokenize(prompt: string, emphasis: TextSettings['emphasis']): Chunk[] {
    return chunksOf(this.options.encoders[0]!.tokenizer, prompt, emphasis);
  }

  async encode(prompt: string, text: TextSettings, signal?: AbortSignal): Promise<Encoding> {
    const { emphasis, patches = [] } = text;
    const key = JSON.stringify([prompt, emphasis, this.options.clipSkips ? text.clipSkip : 1, ...patches]);
    const cached = this.cache.get(key);
    if (cached) {
      // Marks the entry as most recently used.
      this.cache.delete(key);
      this.cache.set(key, cached);
      return cached;
    }
    const parts = await Promise.all(
      this.options.encoders.map((encoder, i) => this.encodeWith(encoder, prompt, text, patches[i], signal)),
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
    return negative === '' && this.options.zeroEmptyNegative ? zeros(encoded) : encoded;
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

  private async encodeWith(
    { encoder, tokenizer, source }: LoadedEncoder,
    prompt: string,
    text: TextSettings,
    patches: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Encoding> {
    const chunks = chunksOf(tokenizer, prompt, text.emphasis);
    const layer = this.layerOf(source, text.clipSkip);
    const states: Float32Array[] = [];
    let pooled: Tensor | undefined;
    for (let first = 0; first < chunks.length; first += CHUNKS_PER_RUN) {
      const batch = chunks.slice(first, first + CHUNKS_PER_RUN);
      const wantsPooled = source.pooled && first === 0;
      const output = await encoder.encode(
        {
          tokens: Tensor.from(Int32Array.from(batch.flatMap((chunk) => chunk.ids)), [
            batch.length,
            tokenizer.window,
          ]),
          ...(wantsPooled
            ? {
                eosIndex: Tensor.from(
                  Int32Array.from(batch, (chunk) => chunk.eosIndex),
                  [batch.length],
                ),
              }
            : {}),
        },
        { layer, finalNorm: source.finalNorm, patches, signal },
      );
      throwIfNotFinite(output.hidden.data, 'The encoded prompt');
      batch.forEach((chunk, i) => {
        states.push(applyEmphasis(output.hidden.at(i).data, chunk.weights, text.emphasis));
      });
      if (wantsPooled) pooled = output.pooled?.slice([0, 1]);
    }
    const width = source.config.hidden_size;
    return {
      context: Tensor.from(concat(states), [1, chunks.length * tokenizer.window, width]),
      pooled,
      chunks: chunks.length,
    };
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
  emphasis: TextSettings['emphasis'],
): Chunk[] {
  return chunkPrompt(tokenizer, emphasis === 'none' ? plainPrompt(prompt) : parsePrompt(prompt));
}

/**
 * Concatenates the states of several encoders per token; the pooled embedding is that of the encoder that returns
 * one.
 */
function join(parts: readonly Encoding[]): Encoding {
  const [first] = parts as [Encoding];
  if (parts.length === 1) return first;
  const pooled = parts.find((part) => part.pooled)?.pooled;
  const tokens = first.context.shape[1]!;
  if (parts.some((part) => part.context.shape[1] !== tokens)) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      "The tokenizers of the model's text encoders split the prompt into different numbers of chunks",
    );
  }
  const widths = parts.map((part) => part.context.shape[2]!);
  const width = widths.reduce((a, b) => a + b, 0);
  const joined = new Float32Array(tokens * width);
  let offset = 0;
  parts.forEach(({ context }, i) => {
    const columns = widths[i]!;
    for (let t = 0; t < tokens; t++)
      joined.set(context.data.subarray(t * columns, (t + 1) * columns), t * width + offset);
    offset += columns;
  });
  return { context: Tensor.from(joined, [1, tokens, width]), pooled, chunks: first.chunks };
}

function padded(encoding: Encoding, chunks: number, empty: Encoding): Encoding {
  const [, tokens = 0, width = 0] = empty.context.shape;
  const data = padChunks(encoding.context.data, encoding.chunks, chunks, empty.context.data);
  return { ...encoding, chunks, context: Tensor.from(data, [1, chunks * tokens, width]) };
}

function zeros({ context, pooled, chunks }: Encoding): Encoding {
  return { context: Tensor.zeros(context.shape), pooled: pooled && Tensor.zeros(pooled.shape), chunks };
}

function concat(arrays: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(arrays.reduce((n, a) => n + a.length, 0));
  let offset = 0;
  for (const array of arrays) {
    out.set(array, offset);
    offset += array.length;
  }
  return out;
}
