import type {
  BranchSpec,
  CutPoint,
  NetworkRequest,
  NetworkResult,
  NetworkSession,
} from '../../../../sampling/network.js';
import { Tensor } from '../../../../tensor/tensor.js';
import { CachedSession } from './cached-session.js';

/**
 * T-GATE (Zhang et al. 2024, arXiv:2404.02747): attention to the prompt settles in the first steps. At the gate, the
 * outputs of the cross-attention layers are averaged over the guidance branches; afterwards they replace the layers, one
 * branch runs instead of all, and guidance has no effect. As in the `tgate` package with `sp_interval` 1 and `warm_up` 0,
 * that branch is the negative one, which matters only for the pooled text of SDXL.
 */
export class TGateSession extends CachedSession {
  /** Index of the evaluation at the gate. */
  private gate: number | undefined;
  private last: { readonly index: number; readonly prediction: Tensor } | undefined;

  constructor(
    session: NetworkSession,
    point: CutPoint,
    private readonly branches: readonly BranchSpec[],
    /** Noise level from which on an evaluation is the gate. */
    private readonly gateSigma: number,
  ) {
    super(session, point);
  }

  async run(request: NetworkRequest): Promise<NetworkResult> {
    const { index, sigma } = request.evaluation;
    if (this.gate === undefined && sigma <= this.gateSigma) this.gate = index;
    if (this.gate === undefined) return this.session.run(request);
    if (index <= this.gate) return this.complete(request);
    const prediction = await this.gated(request);
    return { prediction: Tensor.cat(request.branches.map(() => prediction)), taps: {} };
  }

  /** Returns the prediction of one branch. */
  private async gated(request: NetworkRequest): Promise<Tensor> {
    const { branches, evaluation, latents } = request;
    if (this.last?.index === evaluation.index) return this.last.prediction;
    const at = Math.max(
      0,
      branches.findIndex((branch) => this.branches[branch]!.base),
    );
    const { known } = this;
    const { prediction } = await this.resume(
      {
        ...request,
        branches: [branches[at]!],
        latents: latents instanceof Tensor ? latents : latents[at]!,
      },
      known.map((branch) => ({ weight: 1 / known.length, states: this.statesOf(branch) })),
    );
    this.last = { index: evaluation.index, prediction };
    return prediction;
  }
}
