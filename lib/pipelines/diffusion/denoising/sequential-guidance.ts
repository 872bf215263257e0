/**
 * Sequential guidance: runs guidance branches one at a time instead of in one batch, which halves the memory but is
 * slightly slower.
 */
import type {
  CutTerm,
  DiffusionNetwork,
  HeadRequest,
  HeadResult,
  NetworkRequest,
  NetworkResult,
  NetworkSession,
} from '../../../sampling/network.js';
import { Tensor } from '../../../tensor/tensor.js';

/**
 * Wraps a network to run one branch at a time, except for runs with taps or overrides, whose batch contains all
 * branches.
 */
export function sequentialGuidance(network: DiffusionNetwork): DiffusionNetwork {
  return {
    inputs: network.inputs,
    cutPoints: network.cutPoints,
    hasSelfAttention: network.hasSelfAttention ?? false,
    prepare: (branches, shape) => sequentialSession(network.prepare(branches, shape)),
    bytes: async (branches, shape, signal) => {
      const { session } = await network.bytes(branches, shape, signal);
      const alone = await Promise.all(branches.map((branch) => network.bytes([branch], shape, signal)));
      return { session, run: Math.max(0, ...alone.map(({ run }) => run)) };
    },
    nodes: (shape, windows) => network.nodes(shape, windows),
  };
}

function sequentialSession(session: NetworkSession): NetworkSession {
  return {
    run: async (request) => {
      if (request.taps?.length || request.overrides || request.branches.length === 1)
        return session.run(request);
      const results = await inTurn(session, request);
      const kept = results.flatMap((result) => result.kept ?? []);
      return {
        prediction: Tensor.cat(results.map(({ prediction }) => prediction)),
        taps: {},
        ...(request.attention ? { attention: Tensor.cat(results.map(({ attention }) => attention!)) } : {}),
        ...(request.keep ? { kept } : {}),
      };
    },
    ...(session.head ? { head: (request) => headsInTurn(session, request) } : {}),
    [Symbol.dispose]: () => session[Symbol.dispose](),
  };
}

/** Evaluates the first block of each branch; if one fails, frees the results of the others. */
async function headsInTurn(session: NetworkSession, request: HeadRequest): Promise<HeadResult> {
  const results: HeadResult[] = [];
  try {
    for (const [i, branch] of request.branches.entries()) {
      const { latents, previous } = request;
      results.push(
        await session.head!({
          ...request,
          branches: [branch],
          latents: latents instanceof Tensor ? latents : latents[i]!,
          previous: previous && [previous[i]!],
        }),
      );
    }
  } catch (error) {
    for (const { states, residuals } of results)
      for (const part of [...states, ...residuals]) part[Symbol.dispose]();
    throw error;
  }
  return {
    states: results.flatMap(({ states }) => states),
    residuals: results.flatMap(({ residuals }) => residuals),
    change: request.previous && Math.max(...results.map(({ change = 0 }) => change)),
  };
}

/** Runs each branch; if one fails, frees the kept states of the others. */
async function inTurn(session: NetworkSession, request: NetworkRequest): Promise<NetworkResult[]> {
  const results: NetworkResult[] = [];
  try {
    for (const i of request.branches.keys()) results.push(await session.run(onlyBranch(request, i)));
    return results;
  } catch (error) {
    for (const { kept } of results) for (const state of kept ?? []) state[Symbol.dispose]();
    throw error;
  }
}

/** Returns the part of a request for its `i`th branch. */
function onlyBranch({ latents, branches, resume, ...rest }: NetworkRequest, i: number): NetworkRequest {
  const only = ({ weight, states }: CutTerm): CutTerm => ({ weight, states: [states[i]!] });
  return {
    ...rest,
    branches: [branches[i]!],
    latents: latents instanceof Tensor ? latents : latents[i]!,
    ...(resume ? { resume: { point: resume.point, terms: resume.terms.map(only) } } : {}),
  };
}
