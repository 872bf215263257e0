import type { NodeInfo } from '../binding/types.js';
import type { TextEncoderConfig } from '../checkpoint/config/types.js';
import type { TextEncoderSource } from '../checkpoint/model-descriptor.js';
import { defined } from '../defined.js';
import { invalidOption } from '../errors.js';
import { knownKeys } from '../known-keys.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkCall, checkFlags, checkInputs, checkIsTensor, checkSizes, checkSource } from './check-call.js';
import {
  type CallOptions,
  type CallResult,
  LoadedModule,
  type LoadOptions,
  loadModule,
} from './loaded-module.js';

export interface TextEncoderInputs {
  /** `[B, T]` i32, T at most `max_position_embeddings`. */
  readonly tokens?: Tensor<Int32Array> | undefined;
  /** `[B, T, C]` embeddings that replace those of `tokens` where `vectorMask` is 1. */
  readonly vectors?: Tensor | undefined;
  /** `[B, T]`: 1 for positions that take their embedding from `vectors`, 0 for others. */
  readonly vectorMask?: Tensor | undefined;
  /** `[B, T, C]` token embeddings; ignored if `tokens` is given. */
  readonly embeddings?: Tensor | undefined;
  /** `[B]` i32: the position of the end token, whose state becomes the pooled output. */
  readonly eosIndex?: Tensor<Int32Array> | undefined;
}

export interface TextEncoderOptions extends CallOptions {
  /** Hidden state to return: 0 for the embeddings, L (the default) for the output of the last layer. */
  readonly layer?: number | undefined;
  /** Applies the final layer norm to that state. Default true. */
  readonly finalNorm?: boolean | undefined;
}

export interface TextEncoderOutput extends CallResult {
  /** `[B, T, C]` */
  readonly hidden: Tensor;
  /** `[B, P]`, with `eosIndex`: the normalized and projected state of the last layer. */
  readonly pooled: Tensor | undefined;
}

/** Returns the native module kind of a text encoder. */
export function moduleKindOf(kind: TextEncoderSource['kind'] = 'clip'): 'text_encoder' | 'bert_encoder' {
  return kind === 'bert' ? 'bert_encoder' : 'text_encoder';
}

/** A loaded text encoder (OpenAI CLIP, OpenCLIP, or the BERT-tokenized transformer of latent diffusion). */
export class TextEncoder extends LoadedModule<TextEncoderConfig> {
  /**
   * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, FILE_NOT_FOUND, OUT_OF_MEMORY, BACKEND_UNAVAILABLE,
   *   BINARY_NOT_FOUND, ABORTED
   */
  static async load(
    source: Pick<TextEncoderSource, 'config' | 'weights'> & Partial<Pick<TextEncoderSource, 'kind'>>,
    options: LoadOptions = {},
  ): Promise<TextEncoder> {
    const { config, weights, kind } = checkSource(source);
    return new TextEncoder(config, await loadModule(moduleKindOf(kind), { ...config }, weights, options));
  }

  /**
   * Encodes tokens or embeddings to hidden states.
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async encode(inputs: TextEncoderInputs, options: TextEncoderOptions = {}): Promise<TextEncoderOutput> {
    checkCall(options, 'layer', 'finalNorm');
    checkFlags(options, 'finalNorm');
    const { tokens, embeddings, eosIndex, ...replaced } = checkInputs(
      inputs,
      'tokens',
      'vectors',
      'vectorMask',
      'embeddings',
      'eosIndex',
    );
    const input = tokens ?? embeddings;
    if (input === undefined)
      throw invalidOption('tokens', 'a tensor of tokens (or embeddings instead)', tokens);
    const { vectors, vectorMask } = checkVectors(replaced, tokens);
    const { outputs, taps, timings } = await this.call(
      'encode',
      defined({
        tokens,
        vectors,
        vector_mask: vectorMask,
        embeddings: tokens ? undefined : embeddings,
        eos_index: eosIndex,
      }),
      options,
      this.params(options),
    );
    return { hidden: outputs.hidden!, pooled: outputs.pooled, taps, timings };
  }

  /** Lists the nodes that can be tapped for tokens `[batch, length]`. */
  nodes(
    size: { batch?: number; length?: number; pooled?: boolean } = {},
    options: Pick<TextEncoderOptions, 'layer' | 'finalNorm'> = {},
  ): NodeInfo[] {
    knownKeys('size', size, new Set(['batch', 'length', 'pooled']));
    const { batch = 1, length = this.config.max_position_embeddings, pooled = false } = size;
    checkSizes({ batch, length });
    checkFlags(size, 'pooled');
    knownKeys('options', options, new Set(['layer', 'finalNorm']));
    checkFlags(options, 'finalNorm');
    const shapes = defined({ tokens: [batch, length], eos_index: pooled ? [batch] : undefined });
    return this.listNodes('encode', shapes, this.params(options));
  }

  private params({ layer = this.config.num_hidden_layers, finalNorm = true }: TextEncoderOptions) {
    return { layer, final_norm: finalNorm };
  }
}

/** Checks that vectors come with a mask of zeros and ones, and with tokens. @throws INVALID_OPTION */
function checkVectors(
  { vectors, vectorMask }: Pick<TextEncoderInputs, 'vectors' | 'vectorMask'>,
  tokens: Tensor<Int32Array> | undefined,
): Pick<TextEncoderInputs, 'vectors' | 'vectorMask'> {
  if (vectors === undefined && vectorMask === undefined) return {};
  if (tokens === undefined) throw invalidOption('tokens', 'a tensor of tokens next to vectors', tokens);
  checkIsTensor('vectors', vectors);
  const { data } = checkIsTensor('vectorMask', vectorMask);
  const other = data.find((value) => value !== 0 && value !== 1);
  if (other !== undefined) throw invalidOption('vectorMask', 'a tensor of 0 and 1', other);
  return { vectors, vectorMask };
}
