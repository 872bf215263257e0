import type { TensorRef } from '../binding/tensor-ref.js';
import type { NativeConfig, NodeInfo } from '../binding/types.js';
import type { ClassEmbeddingConfig, UNetConfig } from '../checkpoint/config/types.js';
import type { UNetSource } from '../checkpoint/model-descriptor.js';
import { defined } from '../defined.js';
import { invalidOption, SafelightError } from '../errors.js';
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
  /** `[B]` training timesteps; fractional values are accepted. */
  readonly timestep: Tensor;
  /** `[B, T, D]` text embeddings; required by U-Nets with cross-attention, rejected by others. */
  readonly context?: Tensor | undefined;
  /** Replaces `context` by cached texts: the row of the cache for each sample. Cannot be combined with taps. */
  readonly text?: { readonly of: CrossAttentionState; readonly rows: readonly number[] } | undefined;
  /** `[B, P]` pooled text embedding, for SDXL. */
  readonly textEmbeds?: Tensor | undefined;
  /** `[B, 6]` (5 for the refiner), for SDXL: original size, crop offset and target size, each as height, width. */
  readonly timeIds?: Tensor | undefined;
  /** `[B]` guidance scales, for U-Nets that embed them (`time_cond_proj_dim`). */
  readonly guidance?: Tensor | undefined;
  /**
   * For U-Nets with a class embedding (see `ClassEmbeddingConfig`): `[B]` i32 class indices, `[B]` f32 or `[B, P]`
   * f32.
   */
  readonly classLabels?: Tensor | Tensor<Int32Array> | undefined;
}

/** Cross-attention keys and values of texts, which a U-Net keeps until they are disposed. */
export class CrossAttentionState implements Disposable {
  /** Called by `UNet.cacheCrossAttention`. */
  constructor(
    readonly session: string,
    readonly count: number,
    /** Tokens per text. */
    readonly length: number,
    /** Patch set that the keys and values were computed with. */
    readonly patches: string | undefined,
    private readonly free: () => void,
  ) {}

  /** Frees the keys and values. Safe to call again and after the U-Net was disposed. */
  [Symbol.dispose](): void {
    this.free();
  }
}

/** Changes of the U-Net's computation. */
export interface UNetChanges {
  /** FreeU (Si et al. 2023, arXiv:2309.11497): factors of the backbone (b) and of the skips (s) in the two coarsest up blocks. */
  readonly freeU?:
    | { readonly b1: number; readonly b2: number; readonly s1: number; readonly s2: number }
    | undefined;
  /**
   * Number of the last samples of the batch for which the self-attention of the mid block returns its values, as in
   * perturbed-attention guidance. Default 0.
   */
  readonly perturbed?: number | undefined;
  /** Share of the tokens, 0 (default) to 0.99, that are merged in the self-attention of the latent's size; CPU only. */
  readonly tokenMerging?: number | undefined;
  /** Convolutions wrap around the edges of the latent, so that the image tiles seamlessly. Default false. */
  readonly seamless?: boolean | undefined;
}

/**
 * Features of earlier runs that a run reuses: the outputs of all `cross-attention` layers, the features at the `end`
 * (before `conv_norm_out`), or those of the `deep` layers below a DeepCache branch.
 */
export type ReusePoint =
  | { readonly kind: 'cross-attention' | 'end' }
  | { readonly kind: 'deep'; readonly branch: number };

/** Features at a point that a run left on the device, by name. */
export type Features = Readonly<Record<string, TensorRef>>;

/** A term of the linear combination of features that a run continues with. */
export interface FeatureTerm {
  readonly weight: number;
  /** Features of parts of the batch, in order. */
  readonly features: readonly Features[];
}

/** The first residual block with its attention, see `UNet.head`. */
export interface HeadOutput {
  /** The block's output, as features at the point `end`. */
  readonly features: Features;
  /** Difference of the block's output and input, to compare a later run with; the caller disposes it. */
  readonly residual: TensorRef;
  /** Relative change of the residual of each sample: mean |difference| / mean |earlier residual|; with `previous`. */
  readonly changes: readonly number[] | undefined;
}

export interface UNetOutput extends CallResult {
  /** `[B, Cout, H, W]`: the model's prediction (noise, v or x0). */
  readonly sample: Tensor;
}

export interface ForwardOptions extends CallOptions {
  readonly changes?: UNetChanges | undefined;
  /** Also returns the self-attention probabilities of the mid block's first transformer. Default false. */
  readonly attention?: boolean | undefined;
  /** Also returns the features at this point, which the caller disposes. Cannot be combined with `branch`. */
  readonly keep?: ReusePoint | undefined;
  /** Also returns the deep features that `shallow` with this branch starts from. */
  readonly branch?: number | undefined;
  /** With `branch`: leaves the deep features on the U-Net's device and returns them as `deepRef`. Default false. */
  readonly keepDeep?: boolean | undefined;
}

/** Options of runs that reuse features. */
export interface ReuseOptions extends CallOptions {
  readonly changes?: UNetChanges | undefined;
}

export interface ForwardOutput extends UNetOutput {
  /** `[B, heads, T, T]`, with `attention`. */
  readonly attention: Tensor | undefined;
  /** Features on the device, with `keep`. */
  readonly features: Features | undefined;
  /** Deep features `[B, C', h', w']`, with `branch`. */
  readonly deep: Tensor | undefined;
  /** Deep features on the device, with `keepDeep` instead of `deep`; the caller disposes them. */
  readonly deepRef: TensorRef | undefined;
}

/**
 * Size of a U-Net's inputs: batch (1), height and width of the latents (the model's sample size), tokens of the text
 * (77).
 */
export interface UNetSize {
  readonly batch?: number | undefined;
  readonly height?: number | undefined;
  readonly width?: number | undefined;
  readonly length?: number | undefined;
  /** Number of time ids of an SDXL U-Net: 6 (the default), or 5 for the refiner. */
  readonly timeIds?: number | undefined;
}

/** A loaded U-Net. */
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

  /** Evaluates the U-Net. @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED */
  async forward(inputs: UNetInputs, settings: ForwardOptions = {}): Promise<ForwardOutput> {
    const keys = ['branch', 'keepDeep', 'changes', 'keep', 'attention'] as const;
    const { branch, keepDeep, changes, keep, attention, ...options } = checkCall(settings, ...keys);
    checkFlags(settings, 'keepDeep', 'attention');
    if (keepDeep && branch === undefined)
      throw invalidOption('keepDeep', 'undefined or false without branch', keepDeep);
    if (keep && branch !== undefined) throw invalidOption('branch', 'undefined together with keep', branch);
    const tensors = graphInputs(inputs);
    checkSamePatches(inputs, options);
    const params = defined({
      branch,
      attention,
      ...(keep ? keepParams(keep) : {}),
      ...changeParams(changes),
      ...textParams(inputs),
    });
    const names = keep ? this.featureNames(keep) : keepDeep ? ['deep'] : undefined;
    const session = inputs.text?.of.session;
    const { outputs, kept, taps, timings } = await this.call(
      'forward',
      tensors,
      options,
      params,
      session,
      names,
    );
    return {
      ...{ sample: outputs.sample!, deep: outputs.deep, deepRef: keep ? undefined : kept.deep },
      ...{ features: keep ? kept : undefined, attention: outputs.attention, taps, timings },
    };
  }

  /**
   * Evaluates the U-Net with a linear combination of features of earlier runs instead of the layers before the point.
   * At the point `cross-attention`, `context` and `text` are not needed; at the point `end`, no input is.
   * @param terms at least one, with features of the whole batch each
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async resume(
    point: ReusePoint,
    inputs: UNetInputs,
    terms: readonly FeatureTerm[],
    settings: ReuseOptions = {},
  ): Promise<UNetOutput> {
    const { changes, ...options } = checkCall(settings, 'changes');
    const weights = Float32Array.from(terms, ({ weight }) => weight);
    if (weights.length === 0) throw invalidOption('terms', 'at least one term', terms);
    const isSum = weights.length > 1 || weights[0] !== 1;
    const features = Object.fromEntries(
      this.featureNames(point).map((name) => [
        name,
        terms.flatMap((term) => term.features.map((part) => featureOf(part, name))),
      ]),
    );
    const { [point.kind]: entry } = ENTRIES;
    const tensors = point.kind === 'end' ? {} : graphInputs(inputs);
    if (point.kind === 'deep') checkSamePatches(inputs, options);
    const hasText = point.kind === 'deep';
    const { context: _, text: __, ...others } = tensors as ReturnType<typeof graphInputs>;
    const { outputs, taps, timings } = await this.call(
      entry,
      {
        ...(hasText ? tensors : others),
        ...features,
        ...(isSum ? { weights: Tensor.from(weights, [weights.length]) } : {}),
      },
      options,
      defined({
        branch: point.kind === 'deep' ? point.branch : undefined,
        states: isSum ? weights.length : undefined,
        ...changeParams(changes),
        ...(hasText ? textParams(inputs) : {}),
      }),
      hasText ? inputs.text?.of.session : undefined,
    );
    return { sample: outputs.sample!, taps, timings };
  }

  /**
   * Evaluates the first residual block only and compares what it adds to its input with an earlier run.
   * @param previous `residual` of that run, for the parts of the batch in order
   * @throws INVALID_OPTION, SHAPE_MISMATCH, OUT_OF_MEMORY, ABORTED, DISPOSED
   */
  async head(
    inputs: UNetInputs,
    previous: readonly TensorRef[] | undefined,
    settings: ReuseOptions = {},
  ): Promise<HeadOutput> {
    const { changes, ...options } = checkCall(settings, 'changes');
    checkSamePatches(inputs, options);
    const { outputs, kept } = await this.call(
      'head',
      { ...graphInputs(inputs), ...(previous ? { previous } : {}) },
      options,
      { ...changeParams(changes), ...textParams(inputs) },
      inputs.text?.of.session,
      ['end', 'residual'],
    );
    const sums = outputs.change?.data;
    const changed =
      sums && Array.from({ length: sums.length / 2 }, (_, i) => sums[2 * i]! / sums[2 * i + 1]!);
    return { features: { end: kept.end! }, residual: kept.residual!, changes: changed };
  }

  /** Returns the names of the features at a point. */
  private featureNames(point: ReusePoint): readonly string[] {
    return point.kind === 'cross-attention'
      ? this.crossAttentionOutputs.map(({ name }) => name)
      : [point.kind];
  }

  /** Outputs of the cross-attention layers with their levels, 0 for the finest. */
  private get crossAttentionOutputs(): readonly { readonly name: string; readonly level: number }[] {
    const { block_out_channels: sides, transformer_layers_per_block: depth, layers_per_block } = this.config;
    const { down_attention, up_attention, mid_attention } = this.config;
    const last = sides.length - 1;
    const outputs = (block: string, layers: number, level: number) =>
      Array.from({ length: layers * depth[level]! }, (_, i) => {
        const transformer = `attentions.${Math.floor(i / depth[level]!)}.transformer_blocks.${i % depth[level]!}`;
        return { name: `output of ${block}.${transformer}.attn2`, level };
      });
    return [
      ...sides.flatMap((_, i) =>
        down_attention[i] ? outputs(`down_blocks.${i}`, layers_per_block[i]!, i) : [],
      ),
      ...(mid_attention ? outputs('mid_block', 1, last) : []),
      ...sides.flatMap((_, i) =>
        up_attention[i] ? outputs(`up_blocks.${i}`, layers_per_block[last - i]! + 1, last - i) : [],
      ),
    ];
  }

  /**
   * Evaluates only the shallow layers and reuses the deep features of an earlier `forward` with the same branch
   * (DeepCache: Ma et al. 2023, arXiv:2312.00858). Branches are numbered as in the DeepCache package: three per
   * level, starting at the finest. Branch 0 evaluates the least, the first convolution and the last residual block.
   * @param deep features `[B, C', h', w']` of that evaluation; several TensorRefs are concatenated along the batch
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
    const tensors = graphInputs(inputs);
    checkSamePatches(inputs, options);
    const params = { branch, ...textParams(inputs) };
    const session = inputs.text?.of.session;
    const { outputs, taps, timings } = await this.call(
      'shallow',
      { ...tensors, deep },
      options,
      params,
      session,
    );
    return { sample: outputs.sample!, taps, timings };
  }

  /**
   * Computes the cross-attention keys and values of texts, which are the same at every step, and keeps them until
   * they are disposed.
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
      // An aborted call rejects at once, but its run may still finish and store the keys and values.
      texts[Symbol.dispose]();
      throw error;
    }
    return texts;
  }

  /** Returns the bytes that `cacheCrossAttention` keeps for `count` texts of `length` tokens. */
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

  /** Returns the bytes of the features at a point for one latent of `height` x `width`. */
  featureBytes(point: ReusePoint, height: number, width: number): number {
    checkSizes({ height, width });
    const { block_out_channels: channels, layers_per_block: layers } = this.config;
    const last = channels.length - 1;
    const pixels = (level: number): number => Math.ceil(height / 2 ** level) * Math.ceil(width / 2 ** level);
    switch (point.kind) {
      case 'end':
        return 4 * channels[0]! * pixels(0);
      case 'deep': {
        const level = Math.floor(point.branch / 3);
        // The first block's input comes from the coarser level.
        const source = point.branch % 3 < layers[level]! ? level : Math.min(level + 1, last);
        return 4 * channels[source]! * pixels(level);
      }
      case 'cross-attention':
        return this.crossAttentionOutputs.reduce(
          (sum, { level }) => sum + 4 * channels[level]! * pixels(level),
          0,
        );
    }
  }

  /** Lists the nodes that can be tapped for inputs of this size. */
  nodes(size: UNetSize = {}): NodeInfo[] {
    this.checkSize(size);
    return this.listNodes('forward', this.shapes(size));
  }

  /**
   * Returns the bytes of compute buffers for an evaluation of this size.
   * @param patches name of the patch set to apply
   * @throws SHAPE_MISMATCH, INVALID_OPTION, ABORTED, DISPOSED
   */
  async forwardBytes(size: UNetSize, signal?: AbortSignal, patches?: string): Promise<number> {
    this.checkSize(size);
    checkSignal('signal', signal);
    return this.needed('forward', this.shapes(size), signal, patches);
  }

  /** A U-Net without cross-attention has no text, so `length` may be 0. */
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
      ...(this.config.time_cond_proj_dim && { guidance: [batch] }),
      ...(!attention_blocks && { context: [batch, length, cross_attention_dim] }),
      ...(class_embedding && { class_labels: [batch, ...this.labelShape(class_embedding)] }),
      ...(addition && {
        text_embeds: [batch, addition.input_dim - timeIds * addition.time_embed_dim],
        time_ids: [batch, timeIds],
      }),
    };
  }

  /** Returns the shape of the class label of one sample. */
  private labelShape(embedding: ClassEmbeddingConfig): number[] {
    if (embedding.type === 'projection') return [embedding.size];
    return embedding.type === 'identity' ? [4 * this.config.block_out_channels[0]!] : [];
  }
}

/** Checks inputs and maps them to the names of the native graph. */
function graphInputs(inputs: UNetInputs) {
  const keys = [
    ...(['sample', 'timestep', 'context', 'text'] as const),
    ...(['textEmbeds', 'timeIds', 'guidance', 'classLabels'] as const),
  ] as const;
  const checked = checkInputs(inputs, ...keys);
  const { sample, timestep, context, text, textEmbeds, timeIds, guidance, classLabels } = checked;
  if (text !== undefined) checkText(text);
  return defined({
    sample,
    timestep,
    context,
    text: text && new Tensor(Int32Array.from(text.rows), [text.rows.length]),
    text_embeds: textEmbeds,
    time_ids: timeIds,
    guidance: guidance && embeddedGuidance(guidance),
    class_labels: classLabels,
  });
}

/** Returns (scale - 1) * 1000, whose sinusoid the U-Net adds to that of the timestep (diffusers' `timestep_cond`). */
function embeddedGuidance(scales: Tensor): Tensor {
  checkTensor('guidance', scales, ['B']);
  return Tensor.from(
    scales.data.map((scale) => Math.fround(scale - 1) * 1000),
    scales.shape,
  );
}

function checkText(text: NonNullable<UNetInputs['text']>): void {
  knownKeys('text', text, new Set(['of', 'rows']));
  const { of, rows } = text as { of?: unknown; rows?: unknown };
  if (!(of instanceof CrossAttentionState))
    throw invalidOption('text.of', 'a CrossAttentionState of cacheCrossAttention', of);
  const isRows =
    Array.isArray(rows) && rows.every((row) => Number.isInteger(row) && row >= 0 && row < of.count);
  if (!isRows) throw invalidOption('text.rows', `an array of integers between 0 and ${of.count - 1}`, rows);
}

/** Cached keys and values include the patches they were computed with, so runs have to apply the same ones. */
function checkSamePatches({ text }: UNetInputs, { patches }: CallOptions): void {
  if (text && text.of.patches !== patches)
    throw invalidOption(
      'patches',
      `${text.of.patches ?? 'undefined'} (as when the texts were cached)`,
      patches,
    );
}

/** Entry of the native module that continues at a point. */
const ENTRIES = { 'cross-attention': 'gated', end: 'tail', deep: 'shallow' } as const;

function keepParams(point: ReusePoint): NativeConfig {
  if (point.kind === 'deep') return { branch: point.branch };
  return point.kind === 'end' ? { keep_end: true } : { keep_cross_attention: true };
}

function changeParams({ freeU, perturbed, tokenMerging, seamless }: UNetChanges = {}): NativeConfig {
  return defined({
    freeu: freeU && { ...freeU },
    perturbed: perturbed || undefined,
    token_merging: tokenMerging || undefined,
    seamless: seamless || undefined,
  });
}

function featureOf(features: Features, name: string): TensorRef {
  const feature = features[name];
  if (feature) return feature;
  throw new SafelightError('INTERNAL', `The features at the reuse point lack ${name}`);
}

function textParams({ text }: UNetInputs): { texts?: number; text_length?: number } {
  return text ? { texts: text.of.count, text_length: text.of.length } : {};
}
