/**
 * U-Net as a diffusion network with cross-attention, pooled text and sizes (SDXL), class labels and additional input
 * channels.
 */
import { TensorRef } from '../../../binding/tensor-ref.js';
import type { NodeInfo } from '../../../binding/types.js';
import { SafelightError } from '../../../errors.js';
import type { UNet, UNetInputs } from '../../../modules/unet.js';
import {
  type BranchSpec,
  type CutPoint,
  type CutState,
  checkConditioning,
  type DiffusionNetwork,
  groupByShape,
  type InputSpec,
  type LatentShape,
  type NetworkBytes,
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
}

/** Aesthetic score of each branch, which SDXL's refiner receives instead of the target size. */
const AESTHETIC = { positive: 6, negative: 2.5 };

export class UNetNetwork implements DiffusionNetwork {
  readonly inputs: readonly InputSpec[];
  readonly cutPoints: readonly CutPoint[];
  private readonly cache: CrossAttentionCache;

  constructor(
    private readonly unet: UNet,
    private readonly options: UNetNetworkOptions,
    cache?: CrossAttentionCache,
  ) {
    const { config } = unet;
    // Numbered as in the DeepCache package: three per level, starting at the finest.
    this.cutPoints = config.block_out_channels.flatMap((_, level) =>
      [0, 1, 2].map((i) => ({ name: `branch ${3 * level + i}` })),
    );
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

  prepare(branches: readonly BranchSpec[], shape: LatentShape): NetworkSession {
    checkConditioning(this.inputs, branches);
    const sized = branches.map((branch) => this.withTimeIds(this.onlyInputs(branch), shape));
    return new UNetSession(this.unet, sized, shape, this.cache, this.options.patches);
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
    private readonly patches: string | undefined,
  ) {
    const withContext = branches.flatMap((branch, i) => (branch.conditioning.tensors.context ? [i] : []));
    for (const group of groupByShape(branches, withContext)) {
      const contexts = group.map((i) => this.float(i, 'context'));
      const cached = cache.use(contexts, patches);
      if (cached) this.keys.push({ branches: group, cached });
    }
  }

  async run(request: NetworkRequest): Promise<NetworkResult> {
    const { branches, taps, overrides, signal, keep, resume } = request;
    const { patches } = this;
    const rows = this.shape[0] * branches.length;
    const traced = (taps?.length ?? 0) > 0 || Object.keys(overrides ?? {}).length > 0;
    const { concat, ...constant } = await this.constant(branches, traced, signal);
    const latents = batchOf(request.latents, branches.length);
    const inputs: UNetInputs = {
      sample: concat ? Tensor.cat([latents, concat], 1) : latents,
      timestep: Tensor.from(new Float32Array(rows).fill(request.timestep), [rows]),
      ...constant,
    };
    if (resume) {
      const deep = resume.states.map(refOf);
      const output = await this.unet.shallow(inputs, deep, branchOf(resume.point), { patches, signal });
      return { prediction: output.sample, taps: output.taps };
    }
    const callOptions = { patches, taps, overrides, signal };
    if (!keep) {
      const { sample, taps: values } = await this.unet.forward(inputs, callOptions);
      return { prediction: sample, taps: values };
    }
    const options = { ...callOptions, branch: branchOf(keep), keepDeep: true };
    const { sample, deepRef, taps: values } = await this.unet.forward(inputs, options);
    const images = this.shape[0];
    const kept = branches.map((_, i) => stateOf(deepRef!.slice(i * images, (i + 1) * images)));
    deepRef!.dispose();
    return { prediction: sample, taps: values, kept };
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

/** Wraps the features of a branch, which stay on the U-Net's device. */
function stateOf(features: TensorRef): CutState {
  return { features, [Symbol.dispose]: () => features.dispose() };
}

function refOf({ features }: CutState): TensorRef {
  if (features instanceof TensorRef) return features;
  throw new SafelightError('INTERNAL', 'The state at the cut point belongs to another network');
}

/** Returns DeepCache's branch number of a cut point. */
function branchOf({ name }: CutPoint): number {
  return Number(name.slice('branch '.length));
}
