/** From prompts to what the U-Net attends to: tokens, windows, encoder states, weights, and both prompts at one length. */

import type { TextEncoderSource } from '../checkpoint/model-descriptor.js';
import { invalidOption, SafelightError } from '../errors.js';
import type { TextEncoder } from '../modules/text-encoder.js';
import { throwIfNotFinite } from '../tensor/finite.js';
import { Tensor } from '../tensor/tensor.js';
import type { PromptTokenizer } from '../tokenizers/prompt-tokenizer.js';
import { type Chunk, chunkPrompt } from './chunks.js';
import { applyEmphasis, type Emphasis, padChunks } from './emphasis.js';
import { parsePrompt, plainPrompt } from './prompt.js';

/** Settings for reading and encoding a prompt. */
export interface TextSettings {
  /** 1 reads the layer that the model was trained with, 2 the one before it ... */
  readonly clipSkip: number;
  readonly emphasis: Emphasis;
  /** Names of the patch sets that the text encoders run with, in their order. */
  readonly patches?: readonly (string | undefined)[];
}

/** A prompt as the U-Net takes it. */
export interface Encoding {
  /** `[1, T, D]`: the states of all windows, of all encoders side by side. */
  readonly context: Tensor;
  /** `[1, P]`, of the first window; only for models that take it (SDXL). */
  readonly pooled: Tensor | undefined;
  /** Windows that were encoded. */
  readonly chunks: number;
}

/** One text encoder with what belongs to it. */
export interface LoadedEncoder {
  readonly encoder: TextEncoder;
  readonly tokenizer: PromptTokenizer;
  readonly source: TextEncoderSource;
}

/** Encodes prompts for a model, and knows how its text is read. */
export interface PromptEncoder {
  /** Tokens of the first encoder's window. */
  readonly window: number;
  /** The windows of a prompt for the first encoder. */
  tokenize(prompt: string, emphasis: TextSettings['emphasis']): Chunk[];
  /** @throws INVALID_OPTION for a clip skip beyond the layers, NOT_FINITE, ABORTED, DISPOSED */
  encode(prompt: string, text: TextSettings, signal?: AbortSignal): Promise<Encoding>;
  /** Encodes a negative prompt, which some models want to be zeros where it is empty. */
  encodeNegative(negative: string, text: TextSettings, signal?: AbortSignal): Promise<Encoding>;
  /** Encodes both prompts of a guided run, of one length. */
  encodePair(
    prompt: string,
    negative: string,
    text: TextSettings,
    signal?: AbortSignal,
  ): Promise<EncodingPair>;
  /** Brings two encodings to the length of the longer one. */
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
  /** In the order in which their states are joined. */
  readonly encoders: readonly LoadedEncoder[];
  /** Whether clip skip counts (SD1 and its like). */
  readonly clipSkips: boolean;
  /** Whether an empty negative prompt is all zeros (SDXL). */
  readonly zeroEmptyNegative: boolean;
}

/** Windows of a batch of the text encoder: bounds its memory, whatever the prompt's length. */
const WINDOWS_A_RUN = 8;
/** Numbers of encodings that are kept (64 MB). */
const CACHE_NUMBERS = 2 ** 24;

/** The prompt encoder of models with CLIP's text encoders: windows of 77 tokens, encoded apart and joined. */
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
    const known = this.cache.get(key);
    if (known) {
      // Back to the end of the order in which entries are dropped.
      this.cache.delete(key);
      this.cache.set(key, known);
      return known;
    }
    const parts = await Promise.all(
      this.options.encoders.map((one, i) => this.encodeOne(one, prompt, text, patches[i], signal)),
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

  /** Encodings of the empty prompt are appended to the shorter one. */
  async align(
    positive: Encoding,
    negative: Encoding,
    text: TextSettings,
    signal?: AbortSignal,
  ): Promise<EncodingPair> {
    if (positive.chunks === negative.chunks) return { positive, negative };
    const empty = await this.encode('', text, signal);
    const most = Math.max(positive.chunks, negative.chunks);
    return { positive: padded(positive, most, empty), negative: padded(negative, most, empty) };
  }

  private async encodeOne(
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
    for (let first = 0; first < chunks.length; first += WINDOWS_A_RUN) {
      const some = chunks.slice(first, first + WINDOWS_A_RUN);
      const wantsPooled = source.pooled && first === 0;
      const output = await encoder.encode(
        {
          tokens: Tensor.from(Int32Array.from(some.flatMap((chunk) => chunk.ids)), [
            some.length,
            tokenizer.window,
          ]),
          ...(wantsPooled
            ? {
                eosIndex: Tensor.from(
                  Int32Array.from(some, (chunk) => chunk.eosIndex),
                  [some.length],
                ),
              }
            : {}),
        },
        { layer, finalNorm: source.finalNorm, patches, signal },
      );
      throwIfNotFinite(output.hidden.data, 'The encoded prompt');
      some.forEach((chunk, i) => {
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
    if (layer < 1) throw invalidOption('clipSkip', `integer between 1 and ${source.layer}`, clipSkip);
    return layer;
  }

  private remember(key: string, encoding: Encoding): void {
    this.cache.set(key, encoding);
    let numbers = 0;
    for (const kept of this.cache.values()) numbers += kept.context.size;
    for (const [oldest, kept] of this.cache) {
      if (numbers <= CACHE_NUMBERS) break;
      this.cache.delete(oldest);
      numbers -= kept.context.size;
    }
  }
}

export function chunksOf(
  tokenizer: PromptTokenizer,
  prompt: string,
  emphasis: TextSettings['emphasis'],
): Chunk[] {
  return chunkPrompt(tokenizer, emphasis === 'none' ? plainPrompt(prompt) : parsePrompt(prompt));
}

/** States of several encoders side by side, token by token; the pooled output is of the encoder that has one. */
function join(parts: readonly Encoding[]): Encoding {
  const [first] = parts as [Encoding];
  if (parts.length === 1) return first;
  const pooled = parts.find((part) => part.pooled)?.pooled;
  const tokens = first.context.shape[1]!;
  if (parts.some((part) => part.context.shape[1] !== tokens)) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      "The tokenizers of the model's text encoders divide the prompt differently",
    );
  }
  const widths = parts.map((part) => part.context.shape[2]!);
  const width = widths.reduce((a, b) => a + b, 0);
  const joined = new Float32Array(tokens * width);
  let at = 0;
  parts.forEach(({ context }, i) => {
    const own = widths[i]!;
    for (let t = 0; t < tokens; t++)
      joined.set(context.data.subarray(t * own, (t + 1) * own), t * width + at);
    at += own;
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
  let at = 0;
  for (const array of arrays) {
    out.set(array, at);
    at += array.length;
  }
  return out;
}
