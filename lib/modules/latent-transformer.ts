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

/** What a transformer reads; with both, the embeddings come first. */
export interface SequenceInputs {
  /** `[B, T]` i32, each in `[0, vocab_size)`. */
  readonly codes?: Tensor<Int32Array> | undefined;
  /** `[B, E, n_embd]` in the place of the first E codes' embeddings. */
  readonly embeddings?: Tensor | undefined;
}

export interface LogitsOutput extends CallResult {
  /** `[B, E + T, vocab_size]`: at each place, of the code after it. */
  readonly logits: Tensor;
}

/** The transformer of Taming Transformers (Esser et al. 2021), loaded: the logits of the next code of a sequence. */
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

  /** Codes there are. */
  get vocabulary(): number {
    return this.config.vocab_size;
  }

  /** Places it can look at. */
  get block(): number {
    return this.config.block_size;
  }

  /**
   * The logits at every place of whole sequences, at most `block_size` long.
   *
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async forward(inputs: SequenceInputs, options: CallOptions = {}): Promise<LogitsOutput> {
    checkCall(options);
    const { outputs, taps, timings } = await this.call('forward', given(inputs), options);
    return { logits: outputs.logits!, taps, timings };
  }

  /** An empty sequence to append to, code by code; its keys and values stay with the module until it is disposed. */
  begin(): CodeSequence {
    const session = `sequence ${++this.#sequences}`;
    const { n_unmasked: unmasked, block_size: block } = this.config;
    return new CodeSequence(
      { unmasked, block },
      async (inputs, position, options) => {
        const place = new Tensor(Int32Array.of(position), [1]);
        const all = { ...given(inputs), position: place };
        return (await this.call('step', all, options, {}, session)).outputs.logits!;
      },
      () => this.release(session),
    );
  }

  /** Everything that can be tapped when `[batch, length]` codes are read. */
  nodes(size: { batch?: number; length?: number } = {}): NodeInfo[] {
    checkSizes(size, 'batch', 'length');
    const { batch = 1, length = this.block } = size;
    return this.listNodes('forward', { codes: [batch, length] });
  }
}

/**
 * A sequence (or a batch of equally long ones) that grows: what it has read is kept as keys and values, so that each place is computed
 * once. One call at a time; one that fails leaves it empty.
 */
export class CodeSequence implements Disposable {
  #length = 0;
  #busy = false;
  #disposed = false;
  /** What was read, as long as it may have to be read again. */
  #read: SequenceInputs[] = [];

  /** Made by `LatentTransformer.begin`. */
  constructor(
    private readonly limits: { readonly block: number; readonly unmasked: number },
    private readonly step: (
      inputs: SequenceInputs,
      position: number,
      options: CallOptions,
    ) => Promise<Tensor>,
    private readonly free: () => void,
  ) {}

  /** Places read so far. */
  get length(): number {
    return this.#length;
  }

  /**
   * Reads what comes next.
   *
   * @returns `[B, vocab_size]`: logits of the code after the last
   * @throws INVALID_OPTION (also while another call is under way), SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async append(inputs: SequenceInputs, options: Pick<CallOptions, 'signal'> = {}): Promise<Tensor> {
    const { signal } = checkCall(options);
    this.check();
    const added = lengthOf(inputs);
    if (this.#length + added > this.limits.block) {
      throw new SafelightError(
        'SHAPE_MISMATCH',
        `Expected at most ${this.limits.block} places (the model's block_size) but received ${this.#length + added}`,
      );
    }
    // A prefix that sees all of itself is read at once: what came before it is whole has to see the rest too.
    const again = this.#length > 0 && this.#length < this.limits.unmasked;
    this.#busy = true;
    try {
      if (this.#length < this.limits.unmasked) this.#read.push(inputs);
      const logits = await this.step(again ? joined(this.#read) : inputs, again ? 0 : this.#length, {
        signal,
      });
      this.#length += added;
      return logits;
    } catch (error) {
      this.clear();
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  /** Gives its memory back; safe to call again. */
  dispose(): void {
    this.#disposed = true;
    this.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private clear(): void {
    this.#length = 0;
    this.#read = [];
    this.free();
  }

  private check(): void {
    if (this.#disposed) throw new SafelightError('DISPOSED', 'The sequence was disposed; begin another');
    if (this.#busy) {
      throw new SafelightError('INVALID_OPTION', 'The sequence reads already; wait for its call before');
    }
  }
}

function given(inputs: SequenceInputs): Record<string, Tensor | Tensor<Int32Array>> {
  const { codes, embeddings } = checkInputs(inputs, 'codes', 'embeddings');
  for (const [name, tensor] of Object.entries({ codes, embeddings }))
    if (tensor !== undefined) checkIsTensor(name, tensor);
  if (codes === undefined && embeddings === undefined) {
    throw invalidOption('codes', 'a tensor of codes or of embeddings', codes);
  }
  return defined({ codes, embeddings });
}

function lengthOf(inputs: SequenceInputs): number {
  return Object.values(given(inputs)).reduce((sum, { shape }) => sum + (shape[1] ?? 0), 0);
}

/** Codes of all, one after the other, behind the embeddings of the first. */
function joined(parts: readonly SequenceInputs[]): SequenceInputs {
  if (parts.slice(1).some(({ embeddings }) => embeddings !== undefined)) {
    throw invalidOption(
      'embeddings',
      'none after the first places of a prefix that sees all of itself',
      'some',
    );
  }
  const codes = parts.flatMap((part) => part.codes ?? []);
  return { codes: Tensor.cat(codes, 1), embeddings: parts[0]?.embeddings };
}
