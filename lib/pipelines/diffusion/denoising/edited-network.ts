/** Functions of the caller's that change what nodes of a network give, at every evaluation. */
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
import { Tensor } from '../../../tensor/tensor.js';

/** The evaluation that a tensor belongs to. */
export interface EditInfo {
  /** The node's name. */
  readonly node: string;
  readonly sigma: number;
  /** Evaluations of the network in this pass before this one; samplers of higher order do several a step. */
  readonly evaluation: number;
  /** Guidance branches, in the order of the tensor's batch: all images of the first, then of the next. */
  readonly conditions: readonly string[];
}

// biome-ignore lint/suspicious/noConfusingVoidType: a function that writes into its tensor returns nothing
type Edited = Tensor | undefined | void;
/**
 * Gives the tensor to go on with, of the same shape; or writes into the one that it is given, and returns nothing. What it throws ends the
 * call with that error.
 */
export type Edit = (tensor: Tensor, info: EditInfo) => Edited | Promise<Edited>;
export type Edits = Readonly<Record<string, Edit>>;

/**
 * A network that runs once for each node that is edited, up to the end, and once more with what the functions gave: so each function sees
 * what those of earlier nodes have changed.
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

/** The edited nodes in the order in which the network computes them. @throws INVALID_OPTION for one that there is not */
function inOrder(
  network: DiffusionNetwork,
  edits: Edits,
  branches: readonly BranchSpec[],
  [images, ...shape]: LatentShape,
): string[] {
  const names = network.nodes([images * branches.length, ...shape], 1).map(({ name }) => name);
  const unknown = Object.keys(edits).find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw invalidOption('edit', 'names of nodes (pipeline.nodes lists them)', unknown);
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
    const own = taps[node]!;
    const shape = [...own.shape];
    const given: unknown = await edits[node]!(own, { node, sigma, evaluation, conditions });
    overrides[node] = checked(node, given ?? own, shape);
  }
  return session.run({ ...request, overrides });
}

/** @throws INVALID_OPTION, SHAPE_MISMATCH, NOT_FINITE */
function checked(node: string, value: unknown, shape: readonly number[]): Tensor {
  const name = `what edit gave for ${node}`;
  if (!(value instanceof Tensor) || value.dtype !== 'f32')
    throw invalidOption(name, `a Tensor f32 [${shape.join(', ')}], or nothing`, value);
  const size = shape.reduce((product, side) => product * side, 1);
  if (value.shape.join() !== shape.join() || value.data.length !== size)
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `Expected f32 [${shape.join(', ')}] for ${name} but received [${value.shape.join(', ')}] of ${value.data.length} numbers`,
    );
  checkFinite(name, value);
  return Tensor.from(Float32Array.from(value.data), shape);
}
