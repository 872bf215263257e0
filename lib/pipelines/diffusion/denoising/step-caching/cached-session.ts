import type {
  CutPoint,
  CutState,
  CutTerm,
  NetworkRequest,
  NetworkResult,
  NetworkSession,
} from '../../../../sampling/network.js';

/** Base of the sessions with step caching: owns the states of the branches. */
export abstract class CachedSession implements NetworkSession {
  /** States of each branch, oldest first. */
  private readonly states = new Map<number, CutState[]>();
  private disposed = false;

  constructor(
    protected readonly session: NetworkSession,
    private readonly point: CutPoint,
    /** Number of states that are kept of each branch. */
    private readonly capacity = 1,
  ) {}

  abstract run(request: NetworkRequest): Promise<NetworkResult>;

  /** Frees the session and all states; a run that is pending frees its own. */
  [Symbol.dispose](): void {
    this.disposed = true;
    this.drop();
    this.session[Symbol.dispose]();
  }

  /** Runs the network completely and keeps a state of each branch. */
  protected async complete(request: NetworkRequest): Promise<NetworkResult> {
    const { kept = [], ...result } = await this.session.run({ ...request, keep: this.point });
    request.branches.forEach((branch, i) => {
      const states = [...(this.states.get(branch) ?? []), kept[i]!];
      while (states.length > this.capacity) states.shift()![Symbol.dispose]();
      this.states.set(branch, states);
    });
    if (this.disposed) this.drop();
    return result;
  }

  /** Continues with a combination of states. */
  protected resume(request: NetworkRequest, terms: readonly CutTerm[]): Promise<NetworkResult> {
    return this.session.run({ ...request, resume: { point: this.point, terms } });
  }

  /** Returns the states of a branch, oldest first. */
  protected statesOf(branch: number): readonly CutState[] {
    return this.states.get(branch) ?? [];
  }

  /** Branches that have a state. */
  protected get known(): readonly number[] {
    return [...this.states.keys()];
  }

  /** Frees the states. */
  protected drop(): void {
    for (const state of [...this.states.values()].flat()) state[Symbol.dispose]();
    this.states.clear();
  }
}
