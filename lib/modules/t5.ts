import type { NativeTensor, NodeInfo } from '../binding/types.js';
import type { T5EncoderConfig } from '../checkpoint/config/types.js';
import type { ComponentWeights } from '../checkpoint/weights/component.js';
import { knownKeys } from '../known-keys.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkCall, checkFlags, checkInputs, checkSizes, checkSource } from './check-call.js';
import {
  type CallOptions,
  type CallResult,
  LoadedModule,
  type LoadOptions,
  loadModule,
} from './loaded-module.js';

export interface T5Inputs {
  /** `[B, T]` i32. */
  readonly tokens: Tensor<Int32Array>;
  /**
   * `[B, T]` i32: 1 for tokens to attend to, 0 for masked ones; by default all tokens, including padding, are
   * attended to.
   */
  readonly mask?: Tensor<Int32Array> | undefined;
}

export interface T5Options extends CallOptions {
  /** Hidden state to return: 0 for the embeddings, L (the default) for the output of the last layer. */
  readonly layer?: number | undefined;
  /** Applies the final layer norm to that state. Default true. */
  readonly finalNorm?: boolean | undefined;
}

export interface T5Output extends CallResult {
  /** `[B, T, C]` */
  readonly hidden: Tensor;
}

/** A loaded T5 v1.1 encoder. */
export class T5Encoder extends LoadedModule<T5EncoderConfig> {
  /**
   * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, FILE_NOT_FOUND, OUT_OF_MEMORY, BACKEND_UNAVAILABLE,
   *   BINARY_NOT_FOUND, ABORTED
   */
  static async load(
    source: { readonly config: T5EncoderConfig; readonly weights: ComponentWeights },
    options: LoadOptions = {},
  ): Promise<T5Encoder> {
    const { config, weights } = checkSource(source);
    return new T5Encoder(config, await loadModule('t5_encoder', { ...config }, weights, options));
  }

  /** Encodes tokens to hidden states. @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED */
  async encode(inputs: T5Inputs, options: T5Options = {}): Promise<T5Output> {
    checkCall(options, 'layer', 'finalNorm');
    checkFlags(options, 'finalNorm');
    const { tokens, mask } = checkInputs(inputs, 'tokens', 'mask');
    const tensors: Record<string, NativeTensor> = mask === undefined ? { tokens } : { tokens, mask };
    const { outputs, taps, timings } = await this.call('encode', tensors, options, this.params(options));
    return { hidden: outputs.hidden!, taps, timings };
  }

  /** Lists the nodes that can be tapped for tokens `[batch, length]`. */
  nodes(
    size: { batch?: number; length: number },
    options: Pick<T5Options, 'layer' | 'finalNorm'> = {},
  ): NodeInfo[] {
    knownKeys('size', size, new Set(['batch', 'length']));
    const { batch = 1, length } = size;
    checkSizes({ batch, length });
    knownKeys('options', options, new Set(['layer', 'finalNorm']));
    checkFlags(options, 'finalNorm');
    return this.listNodes('encode', { tokens: [batch, length] }, this.params(options));
  }

  private params({ layer = this.config.num_layers, finalNorm = true }: T5Options) {
    return { layer, final_norm: finalNorm };
  }
}
