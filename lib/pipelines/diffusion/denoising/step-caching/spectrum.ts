/**
 * Spectrum (Han et al. 2026, arXiv:2603.01623): the features before the output layers are forecast. They are fitted by
 * Chebyshev polynomials of the evaluation's index (ridge regression), and half of the forecast is the linear
 * extrapolation of the last two. Constants are those of the paper's code for SDXL.
 */
import type {
  CutPoint,
  NetworkRequest,
  NetworkResult,
  NetworkSession,
} from '../../../../sampling/network.js';
import { CachedSession } from './cached-session.js';

const DEGREE = 4;
const RIDGE = 0.1;
/** Share of the polynomials in the forecast. */
const BLEND = 0.5;
const WARM_UP = 5;
const FIRST_WINDOW = 2;
/** Newest states that are kept; the paper's code keeps all, which are fewer in up to 50 evaluations. */
export const MAX_STATES = 16;

export class SpectrumSession extends CachedSession {
  /** Evaluations from one complete one to the next; its integer part counts. */
  private window = FIRST_WINDOW;
  private forecasts = 0;
  private evaluation = -1;
  private isComplete = true;
  /** Indices of the evaluations whose states are kept, by branch. */
  private readonly times = new Map<number, number[]>();

  /** @param growth number by which each complete evaluation lengthens the window */
  constructor(
    session: NetworkSession,
    point: CutPoint,
    private readonly growth: number,
  ) {
    super(session, point, MAX_STATES);
  }

  async run(request: NetworkRequest): Promise<NetworkResult> {
    const { branches, evaluation } = request;
    if (evaluation.index !== this.evaluation) this.next(evaluation.index);
    const isNew = branches.some((branch) => this.statesOf(branch).length === 0);
    const [first = 0] = branches;
    const equal = branches.every(
      (branch) => this.times.get(branch)?.join() === this.times.get(first)?.join(),
    );
    if (this.isComplete || isNew || !equal) {
      for (const branch of branches)
        this.times.set(branch, [...(this.times.get(branch) ?? []), evaluation.index].slice(-MAX_STATES));
      return this.complete(request);
    }
    const weights = forecastWeights(this.times.get(first)!, evaluation.index);
    return this.resume(
      request,
      weights.map((weight, i) => ({ weight, states: branches.map((branch) => this.statesOf(branch)[i]!) })),
    );
  }

  /** Decides about an evaluation. */
  private next(index: number): void {
    this.evaluation = index;
    this.isComplete = index < WARM_UP || (this.forecasts + 1) % Math.floor(this.window) === 0;
    if (index >= WARM_UP && this.isComplete) this.window += this.growth;
    this.forecasts = this.isComplete ? 0 : this.forecasts + 1;
  }
}

/**
 * Returns the weight of each known value in the forecast of a value.
 * @param times ascending indices of the known values
 */
export function forecastWeights(times: readonly number[], at: number): number[] {
  const design = times.map(chebyshev);
  const size = DEGREE + 1;
  // Normal equations of the ridge regression: (X^T X + ridge) v = polynomials of the forecast.
  const matrix = Array.from({ length: size }, (_, i) =>
    Array.from(
      { length: size },
      (_, j) => design.reduce((sum, row) => sum + row[i]! * row[j]!, 0) + (i === j ? RIDGE : 0),
    ),
  );
  const solution = solve(matrix, chebyshev(at));
  const weights = design.map((row) => BLEND * row.reduce((sum, value, i) => sum + value * solution[i]!, 0));
  const last = times.length - 1;
  const slope = last === 0 ? 0 : (at - times[last]!) / (times[last]! - times[last - 1]!);
  weights[last]! += (1 - BLEND) * (1 + slope);
  if (last > 0) weights[last - 1]! -= (1 - BLEND) * slope;
  return weights;
}

/** Returns the Chebyshev polynomials at an evaluation; the paper's code maps indices 0 to 50 to -1 to 1. */
function chebyshev(index: number): number[] {
  const x = (2 * index) / 50 - 1;
  const values = [1, x];
  while (values.length <= DEGREE) values.push(2 * x * values.at(-1)! - values.at(-2)!);
  return values;
}

/** Solves a positive definite system by elimination. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  const size = rows.length;
  for (let i = 0; i < size; i++) {
    for (let j = i + 1; j < size; j++) {
      const factor = rows[j]![i]! / rows[i]![i]!;
      for (let k = i; k <= size; k++) rows[j]![k]! -= factor * rows[i]![k]!;
    }
  }
  const out = new Array<number>(size).fill(0);
  for (let i = size - 1; i >= 0; i--) {
    const rest = rows[i]!.slice(i + 1, size).reduce((sum, value, k) => sum + value * out[i + 1 + k]!, 0);
    out[i] = (rows[i]![size]! - rest) / rows[i]![i]!;
  }
  return out;
}
