import type {
  CutPoint,
  NetworkRequest,
  NetworkResult,
  NetworkSession,
} from '../../../../sampling/network.js';
import { CachedSession } from './cached-session.js';

/**
 * DeepCache (Ma et al. 2023, arXiv:2312.00858): every `interval`th evaluation is complete; in between, only the shallow
 * layers run, with the deep features of the last complete one.
 */
export class DeepCacheSession extends CachedSession {
  /** Evaluations since the last complete one, including it. */
  private age = 0;
  private evaluation = -1;

  constructor(
    session: NetworkSession,
    point: CutPoint,
    private readonly interval: number,
  ) {
    super(session, point);
  }

  async run(request: NetworkRequest): Promise<NetworkResult> {
    const { branches, evaluation } = request;
    const first = evaluation.index !== this.evaluation;
    this.evaluation = evaluation.index;
    const missing = (): boolean => branches.some((branch) => this.statesOf(branch).length === 0);
    // A branch that was skipped in the last complete evaluation (because of a guidance interval) requires another one.
    if (first && (this.age % this.interval === 0 || missing())) {
      this.drop();
      this.age = 0;
    }
    if (first) this.age++;
    if (missing()) return this.complete(request);
    const states = branches.map((branch) => this.statesOf(branch)[0]!);
    return this.resume(request, [{ weight: 1, states }]);
  }
}
