/**
 * Interfaces of diffusion networks. A network maps (latent, timestep) to its raw prediction; the guided denoiser maps
 * (x, sigma) to x0 for samplers.
 */
import type { TensorRef } from '../binding/tensor-ref.js';
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
}

/** A tensor that a network requires in its conditioning. */
export interface InputSpec {
  readonly name: string;
  /** Required shape; null for any length. The first dimension is the batch. */
  readonly shape: readonly (number | null)[];
}

/**
 * A position at which step caching splits a network into deep and shallow layers. Earlier `cutPoints` have fewer
 * shallow layers.
 */
export interface CutPoint {
  readonly name: string;
}

/**
 * Features of one branch at a cut point, in host memory or on the network's device; only valid for the network that
 * returned them. The caller disposes them.
 */
export interface CutState extends Disposable {
  readonly features: Tensor | TensorRef;
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
  /** Runs only the shallow layers, with the state of each branch that an earlier run with `keep` returned. */
  readonly resume?: { readonly point: CutPoint; readonly states: readonly CutState[] };
  /** Also returns the features at this cut point. */
  readonly keep?: CutPoint;
  /** Names of nodes whose values to return. */
  readonly taps?: readonly string[] | undefined;
  /** Values that replace those of the named nodes, with the batch ordered like `taps`. */
  readonly overrides?: Readonly<Record<string, Tensor>> | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface NetworkResult {
  /** `[branches * B, C, h, w]`: all images of the first branch, then those of the next. */
  readonly prediction: Tensor;
  /** Values by node name, with the batch ordered like the prediction. */
  readonly taps: Readonly<Record<string, Tensor>>;
  /** One state per branch, with `keep`. */
  readonly kept?: readonly CutState[];
}

/** State that is constant during a sampling pass, such as cross-attention keys and values or position tables. */
export interface NetworkSession {
  /** @throws NOT_FINITE, INVALID_OPTION for an unknown tap, OUT_OF_MEMORY, ABORTED, DISPOSED */
  run(request: NetworkRequest): Promise<NetworkResult>;
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
  /** Empty if the network does not support step caching. */
  readonly cutPoints: readonly CutPoint[];
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
