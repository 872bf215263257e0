/** Guidance branches one after the other instead of in one batch: half the memory, for a little more time. */
import type {
  DiffusionNetwork,
  NetworkRequest,
  NetworkResult,
  NetworkSession,
} from '../../../sampling/network.js';
import { Tensor } from '../../../tensor/tensor.js';

/** A network that runs one branch at a time, except for taps and overrides, which are of all branches of one run. */
export function sequentialGuidance(network: DiffusionNetwork): DiffusionNetwork {
  return {
    inputs: network.inputs,
    cutPoints: network.cutPoints,
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
        ...(request.keep ? { kept } : {}),
      };
    },
    [Symbol.dispose]: () => session[Symbol.dispose](),
  };
}

/** One run for each branch; if one of them fails, what the others kept is freed. */
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

/** The part of a request that belongs to the `i`th of its branches. */
function onlyBranch({ latents, branches, resume, ...rest }: NetworkRequest, i: number): NetworkRequest {
  return {
    ...rest,
    branches: [branches[i]!],
    latents: latents instanceof Tensor ? latents : latents[i]!,
    ...(resume ? { resume: { point: resume.point, states: [resume.states[i]!] } } : {}),
  };
}
