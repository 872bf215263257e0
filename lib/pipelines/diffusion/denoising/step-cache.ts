/**
 * Step caching (DeepCache: Ma et al. 2023, arXiv:2312.00858): deep features of a network change little between
 * evaluations, so they are computed only at every `interval`th evaluation; in between only the shallow layers run,
 * with the cached features.
 */
import { invalidOption } from '../../../errors.js';
import type { DeepCacheSettings } from '../../../options/settings/sampling.js';
import type {
  BranchSpec,
  CutPoint,
  CutState,
  DiffusionNetwork,
  LatentShape,
  NetworkRequest,
  NetworkResult,
  NetworkSession,
} from '../../../sampling/network.js';

/**
 * Wraps a network with step caching. The cache is per session.
 * @throws INVALID_OPTION if the network has no cut point with this branch number
 */
export function stepCached(
  network: DiffusionNetwork,
  { interval, branch }: DeepCacheSettings,
): DiffusionNetwork {
  const point = network.cutPoints[branch];
  if (point === undefined) {
    const { length } = network.cutPoints;
    throw length === 0
      ? invalidOption('deepCache', 'undefined (the model does not support step caching)', {
          interval,
          branch,
        })
      : invalidOption('deepCache.branch', `an integer between 0 and ${length - 1}`, branch);
  }
  return {
    inputs: network.inputs,
    cutPoints: [],
    prepare: (branches: readonly BranchSpec[], shape: LatentShape) =>
      new CachedSession(network.prepare(branches, shape), point, interval),
    bytes: (branches, shape, signal) => network.bytes(branches, shape, signal),
    nodes: (shape, windows) => network.nodes(shape, windows),
  };
}

class CachedSession implements NetworkSession {
  /** Features of each branch at the cut point, from its last full run. */
  private states = new Map<number, CutState>();
  /** Evaluations since the last full one, including it. */
  private age = 0;
  private evaluation = -1;
  private disposed = false;

  constructor(
    private readonly session: NetworkSession,
    private readonly point: CutPoint,
    private readonly interval: number,
  ) {}

  async run(request: NetworkRequest): Promise<NetworkResult> {
    const { branches, evaluation } = request;
    const first = evaluation.index !== this.evaluation;
    this.evaluation = evaluation.index;
    const missing = (): boolean => !branches.every((branch) => this.states.has(branch));
    // A branch that was skipped in the last full evaluation (because of a guidance interval) requires another full one.
    if (first && (this.age % this.interval === 0 || missing())) {
      this.drop();
      this.age = 0;
    }
    if (first) this.age++;
    if (!missing()) {
      const states = branches.map((branch) => this.states.get(branch)!);
      return this.session.run({ ...request, resume: { point: this.point, states } });
    }
    const { kept = [], ...result } = await this.session.run({ ...request, keep: this.point });
    branches.forEach((branch, i) => {
      this.states.get(branch)?.[Symbol.dispose]();
      this.states.set(branch, kept[i]!);
    });
    if (this.disposed) this.drop();
    return result;
  }

  [Symbol.dispose](): void {
    this.disposed = true;
    this.drop();
    this.session[Symbol.dispose]();
  }

  private drop(): void {
    for (const state of this.states.values()) state[Symbol.dispose]();
    this.states.clear();
  }
}
