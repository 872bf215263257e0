/** Edits: caller's functions that modify values of network nodes at every evaluation. */
import { invalidOption, SafelightError } from '../../../errors.js';
import type {
  BranchSpec,
  DiffusionNetwork,
  LatentShape,
  NetworkRequest,
  NetworkResult,
  NetworkSession,
} from '../../../sampling/network.js';
import { checkFinite } from '../../../tensor/check-tensor.js';
import { elementCount } from '../../../tensor/shape.js';
import { Tensor } from '../../../tensor/tensor.js';

/** Context of an edited tensor. */
export interface EditInfo {
  /** Name of the node. */
  readonly node: string;
  /** Noise level of the evaluation. */
  readonly sigma: number;
  /**
   * Index of the evaluation within the pass, from 0; higher-order samplers evaluate the network several times per
   * step.
   */
  readonly evaluation: number;
  /** Guidance branches in the order of the tensor's batch: all images of the first, then those of the next. */
  readonly conditions: readonly string[];
}

// biome-ignore lint/suspicious/noConfusingVoidType: a function that modifies its tensor in place returns nothing
type Edited = Tensor | undefined | void;
/**
 * Returns a tensor of the same shape to continue with, or modifies its argument and returns nothing. Errors that it
 * throws reject the call.
 */
export type Edit = (tensor: Tensor, info: EditInfo) => Edited | Promise<Edited>;
export type Edits = Readonly<Record<string, Edit>>;

/**
 * Wraps a network with edits. Each evaluation runs the network once per edited node, and once more with all edited
 * values, so that each function receives values that include the edits of earlier nodes.
 */
export function editedNetwork(network: DiffusionNetwork, edits: Edits): DiffusionNetwork {
  return {
    inputs: network.inputs,
    cutPoints: [],
    prepare: (branches, shape) => {
      const order = inOrder(network, edits, branches, shape);
      const session = network.prepare(branches, shape);
      return {
        run: (request) => runEdited(session, request, { order, edits, branches }),
        [Symbol.dispose]: () => session[Symbol.dispose](),
      };
    },
    bytes: (branches, shape, signal) => network.bytes(branches, shape, signal),
    nodes: (shape, windows) => network.nodes(shape, windows),
  };
}

/** Returns the edited nodes in the order of computation. @throws INVALID_OPTION for an unknown node */
function inOrder(
  network: DiffusionNetwork,
  edits: Edits,
  branches: readonly BranchSpec[],
  [images, ...shape]: LatentShape,
): string[] {
  const names = network.nodes([images * branches.length, ...shape], 1).map(({ name }) => name);
  const unknown = Object.keys(edits).find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw invalidOption('edit', 'an object keyed by names of nodes (see pipeline.nodes)', unknown);
  return names.filter((name) => Object.hasOwn(edits, name));
}

async function runEdited(
  session: NetworkSession,
  request: NetworkRequest,
  { order, edits, branches }: { order: readonly string[]; edits: Edits; branches: readonly BranchSpec[] },
): Promise<NetworkResult> {
  const { sigma, index: evaluation } = request.evaluation;
  const conditions = request.branches.map((i) => branches[i]!.name);
  const overrides: Record<string, Tensor> = { ...request.overrides };
  for (const node of order) {
    const { taps } = await session.run({ ...request, overrides, taps: [node] });
    const value = taps[node]!;
    const shape = [...value.shape];
    const edited: unknown = await edits[node]!(value, { node, sigma, evaluation, conditions });
    overrides[node] = checked(node, edited ?? value, shape);
  }
  return session.run({ ...request, overrides });
}

/** @throws INVALID_OPTION, SHAPE_MISMATCH, NOT_FINITE */
function checked(node: string, value: unknown, shape: readonly number[]): Tensor {
  const name = `the result of edit for ${node}`;
  if (!(value instanceof Tensor) || value.dtype !== 'f32')
    throw invalidOption(name, `a Tensor f32 [${shape.join(', ')}] or undefined`, value);
  const size = elementCount(shape);
  if (value.shape.join() !== shape.join() || value.data.length !== size)
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `Expected f32 [${shape.join(', ')}] for ${name}, received [${value.shape.join(', ')}] with ${value.data.length} numbers`,
    );
  checkFinite(name, value);
  return Tensor.from(Float32Array.from(value.data), shape);
}
