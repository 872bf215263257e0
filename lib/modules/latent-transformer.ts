import type { NodeInfo } from '../binding/types.js';
import type { LatentTransformerConfig } from '../checkpoint/config/types.js';
import type { ComponentWeights } from '../checkpoint/weights/component.js';
import { defined } from '../defined.js';
import { invalidOption, SafelightError } from '../errors.js';
import { Tensor } from '../tensor/tensor.js';
import { checkCall, checkInputs, checkIsTensor, checkSizes, checkSource } from './check-call.js';
import {
  type CallOptions,
  type CallResult,
  LoadedModule,
  type LoadOptions,
  loadModule,
} from './loaded-module.js';

export interface LatentTransformerSource {
  readonly config: LatentTransformerConfig;
  readonly weights: ComponentWeights;
}

/** Inputs of the transformer; with both, the embeddings precede the codes. */
export interface SequenceInputs {
  /** Code indices `[B, T]`, each in `[0, vocab_size)`. */
  readonly codes?: Tensor<Int32Array> | undefined;
  /** `[B, E, n_embd]`, used instead of the embeddings of the first E codes. */
  readonly embeddings?: Tensor | undefined;
}

export interface LogitsOutput extends CallResult {
  /** `[B, E + T, vocab_size]`: at each position the logits of the next code. */
  readonly logits: Tensor;
}

/**
 * A loaded transformer of Taming Transformers (Esser et al. 2021), which predicts the logits of the next code index.
 */
export class LatentTransformer extends LoadedModule<LatentTransformerConfig> {
  #sequences = 0;

  /**
   * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, FILE_NOT_FOUND, OUT_OF_MEMORY, BACKEND_UNAVAILABLE,
   *   BINARY_NOT_FOUND, ABORTED
   */
  static async load(source: LatentTransformerSource, options: LoadOptions = {}): Promise<LatentTransformer> {
    const { config, weights } = checkSource(source);
    return new LatentTransformer(
      config,
      await loadModule('latent_transformer', { ...config }, weights, options),
    );
  }

  /** Number of codes that the transformer accepts and predicts (`vocab_size`). */
  get vocabulary(): number {
    return this.config.vocab_size;
  }

  /** Longest sequence in positions (`block_size`). */
  get block(): number {
    return this.config.block_size;
  }

  /**
   * Computes the logits at every position of sequences of at most `block_size` positions.
   *
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async forward(inputs: SequenceInputs, options: CallOptions = {}): Promise<LogitsOutput> {
    checkCall(options);
    const { outputs, taps, timings } = await this.call('forward', checkedInputs(inputs), options);
    return { logits: outputs.logits!, taps, timings };
  }

  /** Starts an empty sequence with a key-value cache, which the module keeps until the sequence is disposed. */
  begin(): CodeSequence {
    const session = `sequence ${++this.#sequences}`;
    const { n_unmasked: unmasked, block_size: block } = this.config;
    return new CodeSequence(
      { unmasked, block },
      async (inputs, position, options) => {
        const start = new Tensor(Int32Array.of(position), [1]);
        const all = { ...checkedInputs(inputs), position: start };
        return (await this.call('step', all, options, {}, session)).outputs.logits!;
      },
      () => this.release(session),
    );
  }

  /** Lists the nodes that can be tapped for codes `[batch, length]`; length defaults to `block_size`. */
  nodes(size: { batch?: number; length?: number } = {}): NodeInfo[] {
    checkSizes(size, 'batch', 'length');
    const { batch = 1, length = this.block } = size;
    return this.listNodes('forward', { codes: [batch, length] });
  }
}

/**
 * A growing sequence, or a batch of sequences of equal length. Keys and values of earlier positions are cached, so
 * each position is computed once. Accepts one call at a time; a call that fails empties the sequence.
 */
export class CodeSequence implements Disposable {
  #length = 0;
  #busy = false;
  #disposed = false;
  /** Inputs of the unmasked prefix, which is recomputed when it grows. */
  #prefix: SequenceInputs[] = [];

  /** Called by `LatentTransformer.begin`. */
  constructor(
    private readonly limits: { readonly block: number; readonly unmasked: number },
    private readonly step: (
      inputs: SequenceInputs,
      position: number,
      options: CallOptions,
    ) => Promise<Tensor>,
    private readonly free: () => void,
  ) {}

  /** Positions appended so far. */
  get length(): number {
    return this.#length;
  }

  /**
   * Appends inputs to the sequence.
   *
   * @returns `[B, vocab_size]`: logits of the next code
   * @throws INVALID_OPTION (also while another call is pending), SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async append(inputs: SequenceInputs, options: Pick<CallOptions, 'signal'> = {}): Promise<Tensor> {
    const { signal } = checkCall(options);
    this.check();
    const added = lengthOf(inputs);
    if (this.#length + added > this.limits.block) {
      throw new SafelightError(
        'SHAPE_MISMATCH',
        `Expected at most ${this.limits.block} positions (the model's block_size), received ${this.#length + added}`,
      );
    }
    // The first `n_unmasked` positions attend to each other in both directions, so a growing prefix is recomputed as
    // a whole.
    const recomputesPrefix = this.#length > 0 && this.#length < this.limits.unmasked;
    this.#busy = true;
    try {
      if (this.#length < this.limits.unmasked) this.#prefix.push(inputs);
      const logits = await this.step(
        recomputesPrefix ? joined(this.#prefix) : inputs,
        recomputesPrefix ? 0 : this.#length,
        {
          signal,
        },
      );
      this.#length += added;
      return logits;
    } catch (error) {
      this.clear();
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  /** Frees the cached keys and values; safe to call again. */
  dispose(): void {
    this.#disposed = true;
    this.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private clear(): void {
    this.#length = 0;
    this.#prefix = [];
    this.free();
  }

  private check(): void {
    if (this.#disposed) throw new SafelightError('DISPOSED', 'The sequence was disposed; start a new one');
    if (this.#busy) {
      throw new SafelightError(
        'INVALID_OPTION',
        'Another call of the sequence is pending; wait for it to finish',
      );
    }
  }
}

function checkedInputs(inputs: SequenceInputs): Record<string, Tensor | Tensor<Int32Array>> {
  const { codes, embeddings } = checkInputs(inputs, 'codes', 'embeddings');
  for (const [name, tensor] of Object.entries({ codes, embeddings }))
    if (tensor !== undefined) checkIsTensor(name, tensor);
  if (codes === undefined && embeddings === undefined) {
    throw invalidOption('codes', 'a tensor of code indices (or embeddings instead)', codes);
  }
  return defined({ codes, embeddings });
}

function lengthOf(inputs: SequenceInputs): number {
  return Object.values(checkedInputs(inputs)).reduce((sum, { shape }) => sum + (shape[1] ?? 0), 0);
}

/** Concatenates the codes of all parts after the embeddings of the first. */
function joined(parts: readonly SequenceInputs[]): SequenceInputs {
  if (parts.slice(1).some(({ embeddings }) => embeddings !== undefined)) {
    throw invalidOption(
      'embeddings',
      'undefined after the first call within the unmasked prefix',
      'a Tensor',
    );
  }
  const codes = parts.flatMap((part) => part.codes ?? []);
  return { codes: Tensor.cat(codes, 1), embeddings: parts[0]?.embeddings };
}
