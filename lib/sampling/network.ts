/**
 * Interfaces of diffusion networks. A network maps (latent, timestep) to its raw prediction; the guided denoiser maps
 * (x, sigma) to x0 for samplers.
 */
import type { NodeInfo } from '../binding/types.js';
import { SafelightError } from '../errors.js';
import type { AnyTensor, Tensor } from '../tensor/tensor.js';

/** `[B, C, h, w]` */
export type LatentShape = readonly [batch: number, channels: number, height: number, width: number];

/**
 * Named tensors that a network receives in addition to latent and timestep: text embeddings, pooled text, class,
 * conditioning image.
 */
export interface Conditioning {
  /** Each `[B, ...]`, or `[1, ...]` for all images of the batch. */
  readonly tensors: Readonly<Record<string, AnyTensor>>;
}

/**
 * A guidance branch. The guided prediction is base + sum of weight * (prediction - base) over the other branches.
 * Without a base branch it is the weighted sum of the predictions.
 */
export interface BranchSpec {
  /** Name such as `positive` or `negative`, reported with taps. */
  readonly name: string;
  readonly conditioning: Conditioning;
  /** A number, or a mask `[h, w]` of the size of the latent. */
  readonly weight: number | Tensor;
  /** Marks the base branch (at most one), whose weight is ignored. Default false. */
  readonly base?: boolean;
  /**
   * The network runs without mixing the tokens of its mid block (perturbed-attention guidance). Such branches follow all
   * others. Default false.
   */
  readonly perturbed?: boolean;
}

/** A tensor that a network requires in its conditioning. */
export interface InputSpec {
  readonly name: string;
  /** Required shape; null for any length. The first dimension is the batch. */
  readonly shape: readonly (number | null)[];
}

/**
 * A position at which step caching splits a network: a run may skip the layers before it and continue with features of
 * earlier runs.
 */
export interface CutPoint {
  readonly name: string;
  /**
   * `deep`: the features of the deeper levels, into which the shallow layers lead. `cross-attention`: the outputs of all
   * layers that attend to the prompt. `end`: the features before the output layers.
   */
  readonly kind: 'deep' | 'cross-attention' | 'end';
  /** Returns the bytes of the state of one branch for latents of this shape. */
  bytes(shape: LatentShape): number;
}

/**
 * Features of one branch at a cut point; only valid for the network that returned them. The caller disposes them.
 */
export type CutState = Disposable;

/** A term of the linear combination of states that a run continues with. */
export interface CutTerm {
  readonly weight: number;
  /** One state per branch. */
  readonly states: readonly CutState[];
}

/** Factors of FreeU: of the backbone (b) and of the skip connections (s) in the coarsest (1) and the next (2) up block. */
export interface FreeUFactors {
  readonly b1: number;
  readonly b2: number;
  readonly s1: number;
  readonly s2: number;
}

/** Changes of a network's computation. */
export interface NetworkChanges {
  /** Factors of FreeU (Si et al. 2023, arXiv:2309.11497). */
  readonly freeU?: FreeUFactors | undefined;
  /** Share of the tokens that are merged in self-attention (Bolya and Hoffman 2023, arXiv:2303.17604). */
  readonly tokenMerging?: number | undefined;
  /** Wraps around the edges of the latent, so that the image tiles seamlessly. */
  readonly seamless?: boolean | undefined;
}

/** The sampler's evaluation that a run belongs to. */
export interface Evaluation {
  readonly sigma: number;
  /** Index of the evaluation within the pass, from 0. */
  readonly index: number;
}

export interface NetworkRequest {
  /** Scaled latents `[B, C, h, w]`: one for all branches, or one per entry of `branches`. */
  readonly latents: Tensor | readonly Tensor[];
  /** Training timestep, may be fractional. */
  readonly timestep: number;
  readonly evaluation: Evaluation;
  /** Indices of branches in the list passed to `prepare`; their conditioning has equal shapes. */
  readonly branches: readonly number[];
  /** Skips the layers before a cut point and continues with a combination of states that earlier runs with `keep` returned. */
  readonly resume?: { readonly point: CutPoint; readonly terms: readonly CutTerm[] };
  /** Also returns the features at this cut point. */
  readonly keep?: CutPoint;
  /** Names of nodes whose values to return. */
  readonly taps?: readonly string[] | undefined;
  /** Values that replace those of the named nodes, with the batch ordered like `taps`. */
  readonly overrides?: Readonly<Record<string, Tensor>> | undefined;
  /** Also returns the self-attention probabilities of the mid block. Default false. */
  readonly attention?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface NetworkResult {
  /** `[branches * B, C, h, w]`: all images of the first branch, then those of the next. */
  readonly prediction: Tensor;
  /** Values by node name, with the batch ordered like the prediction. */
  readonly taps: Readonly<Record<string, Tensor>>;
  /** `[branches * B, heads, T, T]`, with `attention`. */
  readonly attention?: Tensor | undefined;
  /** One state per branch, with `keep`. */
  readonly kept?: readonly CutState[];
}

/** The first block of a network, evaluated by itself. */
export interface HeadRequest
  extends Pick<NetworkRequest, 'latents' | 'timestep' | 'evaluation' | 'branches' | 'signal'> {
  /** `residuals` of the earlier evaluation to compare with, one per branch. */
  readonly previous?: readonly Disposable[] | undefined;
}

export interface HeadResult {
  /** The block's output as a state at the cut point of kind `end`, one per branch. */
  readonly states: readonly CutState[];
  /** Differences of the block's output and input, one per branch. The caller disposes them. */
  readonly residuals: readonly Disposable[];
  /**
   * Largest relative change of the residuals of the batch, mean |difference| / mean |earlier residual|; with `previous`.
   */
  readonly change: number | undefined;
}

/** State that is constant during a sampling pass, such as cross-attention keys and values or position tables. */
export interface NetworkSession {
  /** @throws NOT_FINITE, INVALID_OPTION for an unknown tap, OUT_OF_MEMORY, ABORTED, DISPOSED */
  run(request: NetworkRequest): Promise<NetworkResult>;
  /** Evaluates the first block only; present if the network has a cut point of kind `end`. */
  head?(request: HeadRequest): Promise<HeadResult>;
  /** Frees the session's state; safe to call again. */
  [Symbol.dispose](): void;
}

/** Bytes that a pass needs: compute buffers of one run, and state of its session. */
export interface NetworkBytes {
  readonly run: number;
  readonly session: number;
}

/** A U-Net or a diffusion transformer. */
export interface DiffusionNetwork {
  /** Tensors required in the conditioning of each branch. */
  readonly inputs: readonly InputSpec[];
  /** Empty if the network does not support step caching; those of kind `deep` from the fewest to the most shallow layers. */
  readonly cutPoints: readonly CutPoint[];
  /** True if runs can return the self-attention probabilities of the mid block, and perturb it. Default false. */
  readonly hasSelfAttention?: boolean;
  /** Returns the network with changes of its computation. @throws INVALID_OPTION for a change that it does not support */
  changed?(changes: NetworkChanges): DiffusionNetwork;
  /** Starts a session. @throws SHAPE_MISMATCH for conditioning that does not match `inputs` */
  prepare(branches: readonly BranchSpec[], shape: LatentShape): NetworkSession;
  /** Returns the memory that a pass needs. @throws SHAPE_MISMATCH, ABORTED, DISPOSED */
  bytes(branches: readonly BranchSpec[], shape: LatentShape, signal?: AbortSignal): Promise<NetworkBytes>;
  /** Lists the nodes that can be tapped for latents of this shape and a prompt of `windows` chunks. */
  nodes(shape: LatentShape, windows: number): NodeInfo[];
}

/** @throws SHAPE_MISMATCH naming the branch and the tensor that is missing or has the wrong shape */
export function checkConditioning(inputs: readonly InputSpec[], branches: readonly BranchSpec[]): void {
  for (const { name: branch, conditioning } of branches) {
    for (const { name, shape } of inputs) {
      const tensor = conditioning.tensors[name];
      const fits =
        tensor !== undefined &&
        tensor.shape.length === shape.length &&
        shape.every((side, i) => side === null || side === tensor.shape[i]);
      if (fits) continue;
      const expected = `[${shape.map((side, i) => side ?? (i === 0 ? 'B' : '?')).join(', ')}]`;
      throw new SafelightError(
        'SHAPE_MISMATCH',
        `Expected ${name} ${expected} in the ${branch} conditioning, received ${tensor ? `[${tensor.shape.join(', ')}]` : 'nothing'}`,
      );
    }
  }
}

/**
 * Groups branches that can run in one batch: their conditioning has the same names and, except for the batch, the
 * same shapes.
 * @param positions indices of the branches to group
 */
export function groupByShape(branches: readonly BranchSpec[], positions: readonly number[]): number[][] {
  const groups = new Map<string, number[]>();
  for (const i of positions) {
    const tensors = Object.entries(branches[i]!.conditioning.tensors);
    const key = JSON.stringify(tensors.map(([name, { shape }]) => [name, ...shape.slice(1)]).sort());
    const group = groups.get(key) ?? [];
    groups.set(key, [...group, i]);
  }
  return [...groups.values()];
}
