import { SafelightError } from '../../../../errors.js';
import type {
  CutPoint,
  CutState,
  HeadResult,
  NetworkRequest,
  NetworkResult,
  NetworkSession,
} from '../../../../sampling/network.js';
import { CachedSession } from './cached-session.js';

/** The first block at the last complete evaluation of a branch. */
interface FirstBlock {
  readonly state: CutState;
  readonly residual: Disposable;
}

/**
 * First-block caching (of ParaAttention; on U-Nets as in Comfy-WaveSpeed): every evaluation runs the first block. If
 * what it adds to its input changed by less than the threshold since the last complete evaluation, the rest of the
 * network is replaced by what it added then.
 */
export class FirstBlockSession extends CachedSession {
  private readonly blocks = new Map<number, FirstBlock>();
  private closed = false;

  /** @param threshold relative change, mean |difference| / mean |earlier| */
  constructor(
    session: NetworkSession,
    point: CutPoint,
    private readonly threshold: number,
  ) {
    super(session, point);
  }

  async run(request: NetworkRequest): Promise<NetworkResult> {
    const { branches, latents, timestep, evaluation, signal } = request;
    if (!this.session.head) throw new SafelightError('INTERNAL', 'The network has no first block');
    const known = branches.map((branch) => this.blocks.get(branch));
    const previous = known.every((block) => block !== undefined)
      ? known.map(({ residual }) => residual)
      : undefined;
    const head = await this.session.head({ latents, timestep, evaluation, branches, previous, signal });
    if (!(previous && head.change !== undefined && head.change < this.threshold))
      return this.renewed(request, head);
    try {
      return await this.resume(request, [
        { weight: 1, states: head.states },
        { weight: 1, states: branches.map((branch) => this.statesOf(branch)[0]!) },
        { weight: -1, states: known.map((block) => block!.state) },
      ]);
    } finally {
      free(head);
    }
  }

  override [Symbol.dispose](): void {
    this.closed = true;
    this.freeBlocks();
    super[Symbol.dispose]();
  }

  /** Runs the network completely and remembers its first block. */
  private async renewed(request: NetworkRequest, head: HeadResult): Promise<NetworkResult> {
    let result: NetworkResult;
    try {
      result = await this.complete(request);
    } catch (error) {
      free(head);
      throw error;
    }
    request.branches.forEach((branch, i) => {
      freeBlock(this.blocks.get(branch));
      this.blocks.set(branch, { state: head.states[i]!, residual: head.residuals[i]! });
    });
    if (this.closed) this.freeBlocks();
    return result;
  }

  private freeBlocks(): void {
    for (const block of this.blocks.values()) freeBlock(block);
    this.blocks.clear();
  }
}

function free({ states, residuals }: HeadResult): void {
  for (const part of [...states, ...residuals]) part[Symbol.dispose]();
}

function freeBlock(block: FirstBlock | undefined): void {
  block?.state[Symbol.dispose]();
  block?.residual[Symbol.dispose]();
}
