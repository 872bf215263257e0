/**
 * U-Net as a diffusion network with cross-attention, pooled text and sizes (SDXL), class labels and additional input
 * channels.
 */
import { TensorRef } from '../../../binding/tensor-ref.js';
import type { NodeInfo } from '../../../binding/types.js';
import { invalidOption, SafelightError } from '../../../errors.js';
import type { Features, ReusePoint, UNet, UNetInputs } from '../../../modules/unet.js';
import {
  type BranchSpec,
  type CutPoint,
  type CutState,
  checkConditioning,
  type DiffusionNetwork,
  groupByShape,
  type HeadRequest,
  type HeadResult,
  type InputSpec,
  type LatentShape,
  type NetworkBytes,
  type NetworkChanges,
  type NetworkRequest,
  type NetworkResult,
  type NetworkSession,
} from '../../../sampling/network.js';
import { type AnyTensor, Tensor } from '../../../tensor/tensor.js';
import { type CachedKeys, CrossAttentionCache } from './cross-attention-cache.js';

export interface UNetNetworkOptions {
  /** Image pixels per latent element along each side. */
  readonly downsampleFactor: number;
  /** Tokens per chunk of a prompt; 1 for class embeddings. */
  readonly window: number;
  /** Number of time ids of SDXL's U-Nets: 6, or 5 for the refiner. */
  readonly timeIds?: number | undefined;
  /** Uses the lower size limit for cached keys and values. Default false. */
  readonly lean?: boolean | undefined;
  /** Name of the patch set to apply. */
  readonly patches?: string | undefined;
  readonly changes?: NetworkChanges | undefined;
}

/** Aesthetic score of each branch, which SDXL's refiner receives instead of the target size. */
const AESTHETIC = { positive: 6, negative: 2.5 };

export class UNetNetwork implements DiffusionNetwork {
  readonly inputs: readonly InputSpec[];
  readonly cutPoints: readonly CutPoint[];
  readonly hasSelfAttention: boolean;
  private readonly cache: CrossAttentionCache;

  constructor(
    private readonly unet: UNet,
    private readonly options: UNetNetworkOptions,
    cache?: CrossAttentionCache,
  ) {
    const { config } = unet;
    const { attention_blocks, mid_attention } = config;
    // Branches are numbered as in the DeepCache package: three per level, starting at the finest.
    const cut = (point: ReusePoint): UNetCutPoint => ({
      ...{ name: point.kind === 'deep' ? `branch ${point.branch}` : point.kind, kind: point.kind, point },
      bytes: ([images, , height, width]) => images * unet.featureBytes(point, height, width),
    });
    const deep = config.block_out_channels.flatMap((_, level) =>
      [0, 1, 2].map((i) => cut({ kind: 'deep', branch: 3 * level + i })),
    );
    this.cutPoints = [
      ...deep,
      cut({ kind: 'end' }),
      ...(attention_blocks ? [] : [cut({ kind: 'cross-attention' })]),
    ];
    this.hasSelfAttention = mid_attention && !attention_blocks;
    this.cache = cache ?? new CrossAttentionCache(unet, options.lean ?? false);
    const inputs: InputSpec[] = [];
    if (!config.attention_blocks)
      inputs.push({ name: 'context', shape: [null, null, config.cross_attention_dim] });
    if (config.addition) inputs.push({ name: 'pooled', shape: [null, this.pooledWidth] });
    if (config.time_cond_proj_dim) inputs.push({ name: 'guidance', shape: [null] });
    if (config.class_embedding?.type === 'table') inputs.push({ name: 'class_label', shape: [null] });
    this.inputs = inputs;
  }

  /** Returns this network with a patch set applied; it shares the cache of keys and values. */
  patched(patches: string | undefined): UNetNetwork {
    return patches === undefined
      ? this
      : new UNetNetwork(this.unet, { ...this.options, patches }, this.cache);
  }

  changed(changes: NetworkChanges): UNetNetwork {
    if (changes.tokenMerging && this.unet.config.attention_blocks)
      throw invalidOption(
        'tokenMerging',
        'undefined (the model has no transformers, whose tokens could be merged)',
        changes.tokenMerging,
      );
    return new UNetNetwork(this.unet, { ...this.options, changes }, this.cache);
  }

  prepare(branches: readonly BranchSpec[], shape: LatentShape): NetworkSession {
    checkConditioning(this.inputs, branches);
    const sized = branches.map((branch) => this.withTimeIds(this.onlyInputs(branch), shape));
    const { patches, changes } = this.options;
    return new UNetSession(this.unet, sized, shape, this.cache, { patches, changes });
  }

  async bytes(
    branches: readonly BranchSpec[],
    shape: LatentShape,
    signal?: AbortSignal,
  ): Promise<NetworkBytes> {
    const [images, , height, width] = shape;
    const length = Math.max(0, ...branches.map(contextLength));
    const batch = images * branches.length;
    const { timeIds, patches } = this.options;
    const run = await this.unet.forwardBytes({ batch, height, width, length, timeIds }, signal, patches);
    return { run, session: this.cache.bytes(branches.length, length) };
  }

  nodes([batch, , height, width]: LatentShape, windows: number): NodeInfo[] {
    const { window, timeIds } = this.options;
    return this.unet.nodes({ batch, height, width, length: windows * window, timeIds });
  }

  private get pooledWidth(): number | null {
    const { addition } = this.unet.config;
    const { timeIds } = this.options;
    return addition && timeIds ? addition.input_dim - timeIds * addition.time_embed_dim : null;
  }

  /** Removes conditioning tensors that this U-Net does not use. */
  private onlyInputs(branch: BranchSpec): BranchSpec {
    const names = new Set([...this.inputs.map(({ name }) => name), 'concat', 'time_ids']);
    const tensors = Object.fromEntries(
      Object.entries(branch.conditioning.tensors).filter(([name]) => names.has(name)),
    );
    return { ...branch, conditioning: { tensors } };
  }

  /** Adds the time ids (original size, crop offset, target size), unless the conditioning contains them. */
  private withTimeIds(branch: BranchSpec, [, , h, w]: LatentShape): BranchSpec {
    const { tensors } = branch.conditioning;
    const { pooled } = tensors;
    const { addition } = this.unet.config;
    if (!addition || !pooled || tensors.time_ids) return branch;
    const [height, width] = [h * this.options.downsampleFactor, w * this.options.downsampleFactor];
    const count = Math.round((addition.input_dim - pooled.shape[1]!) / addition.time_embed_dim);
    const score = branch.name === 'negative' ? AESTHETIC.negative : AESTHETIC.positive;
    const all = [height, width, 0, 0, ...(count === 5 ? [score] : [height, width])];
    const time_ids = Tensor.from(Float32Array.from(all), [1, all.length]);
    return { ...branch, conditioning: { tensors: { ...tensors, time_ids } } };
  }
}

/** Returns the number of context tokens of a branch. */
function contextLength({ conditioning }: BranchSpec): number {
  return conditioning.tensors.context?.shape[1] ?? 0;
}

type Constant = Omit<UNetInputs, 'sample' | 'timestep'> & { readonly concat?: Tensor };

class UNetSession implements NetworkSession {
  /** Cached keys and values of each group of branches with contexts of equal length. */
  private keys: { readonly branches: readonly number[]; readonly cached: CachedKeys }[] = [];
  private readonly constants = new Map<string, Promise<Constant>>();

  constructor(
    private readonly unet: UNet,
    private readonly branches: readonly BranchSpec[],
    private readonly shape: LatentShape,
    cache: CrossAttentionCache,
    private readonly options: Pick<UNetNetworkOptions, 'patches' | 'changes'>,
  ) {
    const withContext = branches.flatMap((branch, i) => (branch.conditioning.tensors.context ? [i] : []));
    for (const group of groupByShape(branches, withContext)) {
      const contexts = group.map((i) => this.float(i, 'context'));
      const cached = cache.use(contexts, options.patches);
      if (cached) this.keys.push({ branches: group, cached });
    }
  }

  async run(request: NetworkRequest): Promise<NetworkResult> {
    const { branches, taps, overrides, signal, keep, resume, attention } = request;
    const traced = (taps?.length ?? 0) > 0 || Object.keys(overrides ?? {}).length > 0;
    const inputs = await this.inputs(request, traced);
    const options = { ...this.runOptions(branches), signal };
    if (resume) {
      const terms = resume.terms.map(({ weight, states }) => ({ weight, features: states.map(featuresOf) }));
      const output = await this.unet.resume(pointOf(resume.point), inputs, terms, options);
      return { prediction: output.sample, taps: output.taps };
    }
    const point = keep && pointOf(keep);
    const output = await this.unet.forward(inputs, { ...options, taps, overrides, keep: point, attention });
    const { sample: prediction, features, attention: probabilities, taps: values } = output;
    const kept = features && this.statesOf(features, branches.length);
    return { prediction, taps: values, attention: probabilities, ...(kept ? { kept } : {}) };
  }

  async head(request: HeadRequest): Promise<HeadResult> {
    const { branches, previous, signal } = request;
    const inputs = await this.inputs(request, false);
    const output = await this.unet.head(inputs, previous?.map(residualOf), {
      ...this.runOptions(branches),
      signal,
    });
    const states = this.statesOf(output.features, branches.length);
    const residuals = this.perBranch(output.residual, branches.length);
    return { states, residuals, change: output.changes && Math.max(...output.changes) };
  }

  /** Returns the inputs of a run. @param traced true if nodes are tapped or overridden */
  private async inputs(
    { branches, latents, timestep, signal }: Omit<HeadRequest, 'previous'>,
    traced: boolean,
  ): Promise<UNetInputs> {
    const rows = this.shape[0] * branches.length;
    const { concat, ...constant } = await this.constant(branches, traced, signal);
    const batch = batchOf(latents, branches.length);
    return {
      sample: concat ? Tensor.cat([batch, concat], 1) : batch,
      timestep: Tensor.from(new Float32Array(rows).fill(timestep), [rows]),
      ...constant,
    };
  }

  private runOptions(branches: readonly number[]) {
    const { patches, changes } = this.options;
    const perturbed = branches.filter((i) => this.branches[i]!.perturbed).length * this.shape[0];
    return { patches, changes: { ...changes, perturbed } };
  }

  /** Divides features of a batch into a state per branch. */
  private statesOf(features: Features, branches: number): CutState[] {
    const divided = Object.entries(features).map(
      ([name, feature]) => [name, this.perBranch(feature, branches)] as const,
    );
    return Array.from(
      { length: branches },
      (_, i) => new UNetState(Object.fromEntries(divided.map(([name, parts]) => [name, parts[i]!]))),
    );
  }

  private perBranch(ref: TensorRef, branches: number): TensorRef[] {
    const [images] = this.shape;
    const parts = Array.from({ length: branches }, (_, i) => ref.slice(i * images, (i + 1) * images));
    ref.dispose();
    return parts;
  }

  [Symbol.dispose](): void {
    for (const { cached } of this.keys) cached.release();
    this.keys = [];
  }

  /** Returns the inputs that are the same at every step, computed once per set of branches. */
  private constant(branches: readonly number[], tapped: boolean, signal: AbortSignal | undefined) {
    const key = `${branches.join()} ${tapped}`;
    const known = this.constants.get(key);
    if (known) return known;
    const constant = this.constantOf(branches, tapped, signal);
    this.constants.set(key, constant);
    constant.catch(() => this.constants.delete(key));
    return constant;
  }

  private async constantOf(
    branches: readonly number[],
    tapped: boolean,
    signal: AbortSignal | undefined,
  ): Promise<Constant> {
    const has = (name: string): boolean =>
      this.branches[branches[0]!]!.conditioning.tensors[name] !== undefined;
    const rows = (name: string): Tensor =>
      Tensor.cat(branches.map((i) => this.repeated(this.float(i, name))));
    return {
      ...(has('context') ? await this.text(branches, tapped, signal) : {}),
      ...(has('pooled') ? { textEmbeds: rows('pooled'), timeIds: rows('time_ids') } : {}),
      ...(has('guidance') ? { guidance: rows('guidance') } : {}),
      ...(has('class_label') ? { classLabels: this.labels(branches) } : {}),
      ...(has('concat') ? { concat: rows('concat') } : {}),
    };
  }

  /**
   * Returns cached keys and values, or the text embeddings if nodes are tapped or overridden, so that their
   * projections are computed.
   */
  private async text(
    branches: readonly number[],
    tapped: boolean,
    signal: AbortSignal | undefined,
  ): Promise<Pick<UNetInputs, 'context' | 'text'>> {
    const keys = this.keys.find((group) => branches.every((i) => group.branches.includes(i)));
    if (!keys || tapped)
      return { context: Tensor.cat(branches.map((i) => this.repeated(this.float(i, 'context')))) };
    const positions = branches.map((i) => keys.branches.indexOf(i));
    const rows = positions.flatMap((position) => new Array<number>(this.shape[0]).fill(position));
    return { text: { of: await keys.cached.get(signal), rows } };
  }

  private labels(branches: readonly number[]): Tensor<Int32Array> {
    const labels = branches.map((i) => this.branches[i]!.conditioning.tensors.class_label!.data[0]!);
    const rows = labels.flatMap((label) => new Array<number>(this.shape[0]).fill(label));
    return Tensor.from(Int32Array.from(rows), [rows.length]);
  }

  /** Repeats `[1, ...]` for each image of the batch; returns `[B, ...]` unchanged. */
  private repeated(tensor: Tensor): Tensor {
    const [images] = this.shape;
    return tensor.shape[0] === images ? tensor : tensor.repeat(images, ...tensor.shape.slice(1).map(() => 1));
  }

  private float(branch: number, name: string): Tensor {
    const tensor = this.branches[branch]!.conditioning.tensors[name];
    if (tensor && isFloat(tensor)) return tensor;
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `Expected an f32 tensor for ${name} in the conditioning of every branch`,
    );
  }
}

function isFloat(tensor: AnyTensor): tensor is Tensor {
  return tensor.data instanceof Float32Array;
}

/** Stacks the latents of all branches to `[branches * B, C, h, w]`. */
function batchOf(latents: Tensor | readonly Tensor[], branches: number): Tensor {
  return Tensor.cat(latents instanceof Tensor ? new Array<Tensor>(branches).fill(latents) : latents);
}

/** Features of a branch on the U-Net's device. */
class UNetState implements CutState {
  constructor(readonly features: Features) {}

  [Symbol.dispose](): void {
    for (const feature of Object.values(this.features)) feature.dispose();
  }
}

function featuresOf(state: CutState): Features {
  if (state instanceof UNetState) return state.features;
  throw new SafelightError('INTERNAL', 'The state at the cut point belongs to another network');
}

function residualOf(residual: Disposable): TensorRef {
  if (residual instanceof TensorRef) return residual;
  throw new SafelightError('INTERNAL', 'The residual belongs to another network');
}

/** A cut point with the position in the U-Net. */
interface UNetCutPoint extends CutPoint {
  readonly point: ReusePoint;
}

function pointOf(point: CutPoint): ReusePoint {
  return (point as UNetCutPoint).point;
}
