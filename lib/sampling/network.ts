/**
 * The interfaces between a diffusion network and what runs it. A network maps (latent, timestep) to its raw prediction; the guided
 * denoiser around it maps (x, sigma) to x0, which is all that samplers see.
 */
import type { TensorRef } from '../binding/tensor-ref.js';
import type { NodeInfo } from '../binding/types.js';
import { SafelightError } from '../errors.js';
import type { AnyTensor, Tensor } from '../tensor/tensor.js';

/** `[B, C, h, w]` */
export type LatentShape = readonly [batch: number, channels: number, height: number, width: number];

/** Named tensors that a network takes besides latent and timestep: text states, pooled text, a class, an image beside the latent. */
export interface Conditioning {
  /** Each `[1, ...]` for all images of the batch, or `[B, ...]`. */
  readonly tensors: Readonly<Record<string, AnyTensor>>;
}

/**
 * One guidance branch. The guided prediction is that of the base branch plus, for each other branch, its weight times how far its
 * prediction lies from the base's. Without a base branch it is the weighted sum.
 */
export interface BranchSpec {
  /** `positive`, `negative` ...: reported with taps. */
  readonly name: string;
  readonly conditioning: Conditioning;
  /** A number, or `[h, w]` of the latent's size. */
  readonly weight: number | Tensor;
  /** Marks the branch that guidance leads away from, whose weight is not used; at most one. Default false. */
  readonly base?: boolean;
}

/** A tensor that a network takes from its conditioning. */
export interface InputSpec {
  readonly name: string;
  /** Sides that have to be so long; null for any length. The first is that of the batch. */
  readonly shape: readonly (number | null)[];
}

/** A place where step caching may stop a network and resume it later. The earlier in `cutPoints`, the less runs in between. */
export interface CutPoint {
  readonly name: string;
}

/**
 * The features of one branch at a cut point, which only the network that gave them can read: in the host's memory, or on the network's
 * device. Whoever asked for them disposes of them.
 */
export interface CutState extends Disposable {
  readonly features: Tensor | TensorRef;
}

/** The evaluation of the sampler that a run belongs to. */
export interface Evaluation {
  readonly sigma: number;
  /** Evaluations of the pass before this one. */
  readonly index: number;
}

export interface NetworkRequest {
  /** `[B, C, h, w]`, scaled as the network takes it; one for all branches, or one for each of `branches`. */
  readonly latents: Tensor | readonly Tensor[];
  /** May lie between two training steps. */
  readonly timestep: number;
  readonly evaluation: Evaluation;
  /** Positions in the list that the session was prepared for; their conditioning has equal shapes. */
  readonly branches: readonly number[];
  /** Runs only what follows the cut point: a state for each branch, as an earlier run kept them. */
  readonly resume?: { readonly point: CutPoint; readonly states: readonly CutState[] };
  /** Also returns the features at this point. */
  readonly keep?: CutPoint;
  /** Names of nodes to read. */
  readonly taps?: readonly string[] | undefined;
  /** Values of nodes in the place of what they compute, by name, as `taps` gives it: batches go through the branches. */
  readonly overrides?: Readonly<Record<string, Tensor>> | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface NetworkResult {
  /** `[branches * B, C, h, w]`: all images of the first branch, then of the next. */
  readonly prediction: Tensor;
  /** By name; their batches are ordered as the prediction's. */
  readonly taps: Readonly<Record<string, Tensor>>;
  /** One state a branch, if `keep` asked for them. */
  readonly kept?: readonly CutState[];
}

/** Everything that is constant over a pass of the sampler: cross-attention keys and values, position tables. */
export interface NetworkSession {
  /** @throws NOT_FINITE, INVALID_OPTION for an unknown tap, OUT_OF_MEMORY, ABORTED, DISPOSED */
  run(request: NetworkRequest): Promise<NetworkResult>;
  /** Frees what the session holds; safe to call again. */
  [Symbol.dispose](): void;
}

/** Bytes that a pass takes: of the buffers of one run, and of what its session holds. */
export interface NetworkBytes {
  readonly run: number;
  readonly session: number;
}

/** A U-Net or a diffusion transformer. */
export interface DiffusionNetwork {
  /** Tensors it needs of each branch's conditioning. */
  readonly inputs: readonly InputSpec[];
  /** Empty where step caching is not possible. */
  readonly cutPoints: readonly CutPoint[];
  /** @throws SHAPE_MISMATCH for conditioning that is not the network's */
  prepare(branches: readonly BranchSpec[], shape: LatentShape): NetworkSession;
  /** @throws SHAPE_MISMATCH, ABORTED, DISPOSED */
  bytes(branches: readonly BranchSpec[], shape: LatentShape, signal?: AbortSignal): Promise<NetworkBytes>;
  /** Everything that can be tapped for latents of this shape and a prompt of so many windows. */
  nodes(shape: LatentShape, windows: number): NodeInfo[];
}

/** @throws SHAPE_MISMATCH naming the branch and the tensor that is missing or of another shape than the network takes */
export function checkConditioning(inputs: readonly InputSpec[], branches: readonly BranchSpec[]): void {
  for (const { name: branch, conditioning } of branches) {
    for (const { name, shape } of inputs) {
      const given = conditioning.tensors[name];
      const fits =
        given !== undefined &&
        given.shape.length === shape.length &&
        shape.every((side, i) => side === null || side === given.shape[i]);
      if (fits) continue;
      const expected = `[${shape.map((side, i) => side ?? (i === 0 ? 'B' : '?')).join(', ')}]`;
      throw new SafelightError(
        'SHAPE_MISMATCH',
        `Expected ${name} ${expected} in the ${branch} conditioning but received ${given ? `[${given.shape.join(', ')}]` : 'nothing'}`,
      );
    }
  }
}

/**
 * Groups branches that can run in one batch: their conditioning has the same names and, but for the batch, the same shapes.
 * @param positions of the branches in the list
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
