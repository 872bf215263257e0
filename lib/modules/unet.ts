import type { TensorRef } from '../binding/tensor-ref.js';
import type { NodeInfo } from '../binding/types.js';
import type { ClassEmbeddingConfig, UNetConfig } from '../checkpoint/config/types.js';
import type { UNetSource } from '../checkpoint/model-descriptor.js';
import { defined } from '../defined.js';
import { invalidOption } from '../errors.js';
import { checkSignal, knownKeys } from '../known-keys.js';
import { checkTensor } from '../tensor/check-tensor.js';
import { Tensor } from '../tensor/tensor.js';
import {
  checkCall,
  checkFlags,
  checkInputs,
  checkSizes,
  checkSource,
  checkTensorOrRef,
} from './check-call.js';
import {
  type CallOptions,
  type CallResult,
  LoadedModule,
  type LoadOptions,
  loadModule,
} from './loaded-module.js';

export interface UNetInputs {
  /** `[B, Cin, H, W]` */
  readonly sample: Tensor;
  /** `[B]`, may be between two training steps. */
  readonly timestep: Tensor;
  /** `[B, T, D]` states of the text; of every U-Net with transformers, and of no other. */
  readonly context?: Tensor | undefined;
  /** In the place of `context`: of texts that were kept, the one of each sample. Not with taps. */
  readonly text?: { readonly of: CrossAttentionState; readonly rows: readonly number[] } | undefined;
  /** `[B, P]` pooled text, for SDXL. */
  readonly textEmbeds?: Tensor | undefined;
  /** `[B, 6]` (the refiner 5), for SDXL: original size, crop, target size, each height before width. */
  readonly timeIds?: Tensor | undefined;
  /** For U-Nets with a class embedding: `[B]` i32 rows of a table, `[B]` f32 numbers, or `[B, P]` f32 (see `ClassEmbeddingConfig`). */
  readonly classLabels?: Tensor | Tensor<Int32Array> | undefined;
}

/** Texts whose keys and values stay with a U-Net until they are disposed of. */
export class CrossAttentionState implements Disposable {
  /** Made by `UNet.cacheCrossAttention`. */
  constructor(
    readonly session: string,
    readonly count: number,
    /** Tokens of each. */
    readonly length: number,
    /** The patch set that they were computed with. */
    readonly patches: string | undefined,
    private readonly free: () => void,
  ) {}

  /** Safe to call again, and after the U-Net's own end. */
  [Symbol.dispose](): void {
    this.free();
  }
}

export interface UNetOutput extends CallResult {
  /** `[B, Cout, H, W]`: what the model predicts (noise, v or x0). */
  readonly sample: Tensor;
}

export interface ForwardOptions extends CallOptions {
  /** Also give out what `shallow` goes on from: the branch at which it cuts (see there). */
  readonly branch?: number | undefined;
  /** With a branch: leaves that on the U-Net's device, as `deepRef`. Default false. */
  readonly keepDeep?: boolean | undefined;
}

export interface ForwardOutput extends UNetOutput {
  /** `[B, C', h', w']`, if a branch was asked for. */
  readonly deep: Tensor | undefined;
  /** The same with `keepDeep`, in its place; the caller disposes of it. */
  readonly deepRef: TensorRef | undefined;
}

/** Of the latents, by default the model's own, and of the text in tokens (77). */
export interface UNetSize {
  readonly batch?: number | undefined;
  readonly height?: number | undefined;
  readonly width?: number | undefined;
  readonly length?: number | undefined;
  /** How many numbers an SDXL U-Net is told of the picture. */
  readonly timeIds?: number | undefined;
}

/** A U-Net, loaded. */
export class UNet extends LoadedModule<UNetConfig> {
  #texts = 0;

  /**
   * @throws MISSING_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_MODEL, FILE_NOT_FOUND, OUT_OF_MEMORY, BACKEND_UNAVAILABLE,
   *   BINARY_NOT_FOUND, ABORTED
   */
  static async load(source: UNetSource, options: LoadOptions = {}): Promise<UNet> {
    const { config, weights } = checkSource(source);
    return new UNet(config, await loadModule('unet', { ...config }, weights, options));
  }

  /** @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED */
  async forward(inputs: UNetInputs, settings: ForwardOptions = {}): Promise<ForwardOutput> {
    const { branch, keepDeep, ...options } = checkCall(settings, 'branch', 'keepDeep');
    checkFlags(settings, 'keepDeep');
    if (keepDeep && branch === undefined)
      throw invalidOption('keepDeep', 'true only together with branch', keepDeep);
    const tensors = named(inputs);
    checkSamePatches(inputs, options);
    const params = defined({ branch, ...textParams(inputs) });
    const { outputs, kept, taps, timings } = await this.call(
      'forward',
      tensors,
      options,
      params,
      inputs.text?.of.session,
      keepDeep ? ['deep'] : undefined,
    );
    return { sample: outputs.sample!, deep: outputs.deep, deepRef: kept.deep, taps, timings };
  }

  /**
   * The shallow part alone: what lies deeper is taken from an earlier `forward` with the same branch (DeepCache: Ma et al. 2023,
   * arXiv:2312.00858). Branches are numbered as in the DeepCache package, three a level from the finest on; branch 0 runs least: the
   * first convolution and the last residual block.
   * @param deep `[B, C', h', w']` of that evaluation; several that were kept are joined along the batch
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async shallow(
    inputs: UNetInputs,
    deep: Tensor | TensorRef | readonly TensorRef[],
    branch: number,
    options: CallOptions = {},
  ): Promise<UNetOutput> {
    checkCall(options);
    checkTensorOrRef('deep', deep);
    const tensors = named(inputs);
    checkSamePatches(inputs, options);
    const { outputs, taps, timings } = await this.call(
      'shallow',
      { ...tensors, deep },
      options,
      { branch, ...textParams(inputs) },
      inputs.text?.of.session,
    );
    return { sample: outputs.sample!, taps, timings };
  }

  /**
   * Computes the keys and values of all attention to these texts, which are the same at every step, and keeps them until they are
   * disposed of.
   * @param contexts `[N, T, D]`
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async cacheCrossAttention(
    contexts: Tensor,
    options: Pick<CallOptions, 'signal' | 'patches'> = {},
  ): Promise<CrossAttentionState> {
    const { signal, patches } = checkCall(options);
    checkTensor('contexts', contexts, ['N', 'T', this.config.cross_attention_dim]);
    const session = `texts ${++this.#texts}`;
    const [count = 0, length = 0] = contexts.shape;
    const texts = new CrossAttentionState(session, count, length, patches, () => {
      if (!this.disposed) this.release(session);
    });
    try {
      await this.call('texts', { context: contexts }, { signal, patches }, {}, session);
    } catch (error) {
      // An abort is told at once; the run may still come to its end.
      texts[Symbol.dispose]();
      throw error;
    }
    return texts;
  }

  /** Bytes that `cacheCrossAttention` would keep of so many texts of so many tokens. */
  bytesOfTexts(count: number, length: number): number {
    checkSizes({ count, length });
    const { block_out_channels: sides, transformer_layers_per_block: depth, layers_per_block } = this.config;
    const { down_attention, up_attention, mid_attention } = this.config;
    const last = sides.length - 1;
    const widths = sides.map((side, i) => {
      const layers = layers_per_block[i]!;
      const transformers =
        (down_attention[i] ? layers : 0) +
        (up_attention[last - i] ? layers + 1 : 0) +
        (mid_attention && i === last ? 1 : 0);
      return side * depth[i]! * transformers;
    });
    const floats = 2 * widths.reduce((a, b) => a + b, 0);
    return 4 * floats * count * length;
  }

  /** Everything that can be tapped for inputs of a size. */
  nodes(size: UNetSize = {}): NodeInfo[] {
    this.checkSize(size);
    return this.listNodes('forward', this.shapes(size));
  }

  /**
   * Bytes of the buffers that an evaluation of this size needs.
   * @param patches name of the patch set that it would run with
   * @throws SHAPE_MISMATCH, INVALID_OPTION, ABORTED, DISPOSED
   */
  async forwardBytes(size: UNetSize, signal?: AbortSignal, patches?: string): Promise<number> {
    this.checkSize(size);
    checkSignal('signal', signal);
    return this.needed('forward', this.shapes(size), signal, patches);
  }

  /** A U-Net that attends to nothing is told nothing: its text has no length. */
  private checkSize(size: UNetSize): void {
    knownKeys('size', size, new Set(['batch', 'height', 'width', 'length', 'timeIds']));
    const { length, ...sides } = size;
    checkSizes(sides);
    if (length !== 0 || !this.config.attention_blocks) checkSizes({ length });
  }

  private shapes({
    batch = 1,
    height = this.config.sample_size,
    width = this.config.sample_size,
    length = 77,
    timeIds = 6,
  }: UNetSize): Record<string, readonly number[]> {
    const { in_channels, cross_attention_dim, addition, attention_blocks, class_embedding } = this.config;
    return {
      sample: [batch, in_channels, height, width],
      timestep: [batch],
      ...(!attention_blocks && { context: [batch, length, cross_attention_dim] }),
      ...(class_embedding && { class_labels: [batch, ...this.labelShape(class_embedding)] }),
      ...(addition && {
        text_embeds: [batch, addition.input_dim - timeIds * addition.time_embed_dim],
        time_ids: [batch, timeIds],
      }),
    };
  }

  /** Of one picture's label. */
  private labelShape(embedding: ClassEmbeddingConfig): number[] {
    if (embedding.type === 'projection') return [embedding.size];
    return embedding.type === 'identity' ? [4 * this.config.block_out_channels[0]!] : [];
  }
}

/** Under the names of the graph. */
function named(inputs: UNetInputs) {
  const keys = ['sample', 'timestep', 'context', 'text', 'textEmbeds', 'timeIds', 'classLabels'] as const;
  const { sample, timestep, context, text, textEmbeds, timeIds, classLabels } = checkInputs(inputs, ...keys);
  if (text !== undefined) checkText(text);
  return defined({
    sample,
    timestep,
    context,
    text: text && new Tensor(Int32Array.from(text.rows), [text.rows.length]),
    text_embeds: textEmbeds,
    time_ids: timeIds,
    class_labels: classLabels,
  });
}

function checkText(text: NonNullable<UNetInputs['text']>): void {
  knownKeys('text', text, new Set(['of', 'rows']));
  const { of, rows } = text as { of?: unknown; rows?: unknown };
  if (!(of instanceof CrossAttentionState))
    throw invalidOption('text.of', 'texts of cacheCrossAttention', of);
  const isRows =
    Array.isArray(rows) && rows.every((row) => Number.isInteger(row) && row >= 0 && row < of.count);
  if (!isRows) throw invalidOption('text.rows', `integers between 0 and ${of.count - 1}`, rows);
}

/** Keys and values hold the patches that they were computed with. */
function checkSamePatches({ text }: UNetInputs, { patches }: CallOptions): void {
  if (text && text.of.patches !== patches)
    throw invalidOption('patches', `${text.of.patches ?? 'none'}, with which the texts were kept`, patches);
}

function textParams({ text }: UNetInputs): { texts?: number; text_length?: number } {
  return text ? { texts: text.of.count, text_length: text.of.length } : {};
}
