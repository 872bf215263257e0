/**
 * Step caching (DeepCache: Ma et al. 2023, arXiv:2312.00858): what the deep part of a network gives changes little from one evaluation
 * to the next, so it is computed at every `interval`th only; in between the shallow part runs alone and goes on from what was kept.
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
 * A network of which most evaluations run only what follows a cut point. Each session begins anew.
 * @throws INVALID_OPTION for a network without that many cut points
 */
export function stepCached(
  network: DiffusionNetwork,
  { interval, branch }: DeepCacheSettings,
): DiffusionNetwork {
  const point = network.cutPoints[branch];
  if (point === undefined) {
    const { length } = network.cutPoints;
    throw length === 0
      ? invalidOption('deepCache', 'nothing (this model has no place where step caching could cut it)', {
          interval,
          branch,
        })
      : invalidOption('deepCache.branch', `integer between 0 and ${length - 1}`, branch);
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
  /** Of each branch, as the last whole run of it left them. */
  private states = new Map<number, CutState>();
  /** Evaluations since the last whole one, itself counted. */
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
    // A branch that was left out of the last whole evaluation (guidance that begins within an interval) makes this one whole.
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
