/**
 * Noise schedule of a network trained on discrete timesteps of a variance-preserving process, in sigmas: a noisy
 * latent is x = x0 + sigma * noise (Karras et al. 2022, arXiv:2206.00364; k-diffusion's `external.py`).
 *
 * Values are rounded to f32 wherever the reference uses f32 tensors, so that schedules, timesteps and images of a
 * seed match it.
 */

import type { SchedulerConfig } from '../checkpoint/config/types.js';
import { SafelightError } from '../errors.js';
import type { NoiseSchedule } from './noise-schedule.js';

const f32 = Math.fround;

/**
 * alphas_cumprod of the last timestep of a zero-terminal-SNR model, because 0 would mean an infinite sigma (A1111,
 * ComfyUI).
 */
const LAST_ALPHA_OF_ZERO_SNR = 4.8973451890853435e-8;

/** Trained noise levels of a model with the continuous mapping to and from timesteps (log-linear in sigma). */
export class DiscreteSchedule implements NoiseSchedule {
  /** Product of (1 - beta) up to each timestep, descending. */
  readonly alphasCumprod: Float32Array;
  /** sqrt((1 - a) / a) of each timestep, where a is alphasCumprod; ascending. */
  readonly sigmas: Float32Array;
  private readonly logSigmas: Float32Array;

  /**
   * @param alphasCumprod values in (0, 1), one per training timestep, strictly descending; at least 2
   * @param offset lowest of evenly spaced timesteps (diffusers' `steps_offset`)
   * @param endsClean true if evenly spaced timesteps end at sigma 0 instead of the sigma of timestep 0
   * @throws UNSUPPORTED_MODEL
   */
  constructor(
    alphasCumprod: ArrayLike<number>,
    readonly offset = 1,
    readonly endsClean = false,
  ) {
    this.alphasCumprod = Float32Array.from(alphasCumprod);
    this.sigmas = this.alphasCumprod.map((a) => Math.sqrt(f32(f32(1 - a) / a)));
    this.logSigmas = this.sigmas.map(Math.log);
    if (this.sigmas.length < 2 || !strictlyAscends(this.sigmas)) {
      throw new SafelightError(
        'UNSUPPORTED_MODEL',
        'The sigmas of the noise schedule are not strictly ascending; check beta_start, beta_end and num_train_timesteps in the scheduler config',
      );
    }
  }

  /**
   * Computes the schedule of a model's config as LDM, A1111 and ComfyUI do: products in f64, stored as f32.
   * @throws UNSUPPORTED_MODEL for an invalid config
   */
  static fromConfig(config: SchedulerConfig): DiscreteSchedule {
    const alphas = alphasCumprodOf(betasOf(config));
    return new DiscreteSchedule(
      config.rescale_zero_snr ? rescaleToZeroTerminalSnr(alphas) : alphas,
      config.steps_offset,
      config.ends_clean,
    );
  }

  /** Returns 1 (variance exploding: x = x0 + sigma * noise). */
  alpha(): number {
    return 1;
  }

  /** Number of training timesteps. */
  get length(): number {
    return this.sigmas.length;
  }

  get sigmaMin(): number {
    return this.sigmas[0]!;
  }

  get sigmaMax(): number {
    return this.sigmas[this.length - 1]!;
  }

  /** Returns the fractional timestep of a sigma, clamped to the first and last timestep. */
  sigmaToT(sigma: number): number {
    const logSigma = f32(Math.log(f32(sigma)));
    const low = Math.min(Math.max(lastNotAbove(this.logSigmas, logSigma), 0), this.length - 2);
    const [a, b] = [this.logSigmas[low]!, this.logSigmas[low + 1]!];
    const w = Math.min(Math.max(f32(f32(a - logSigma) / f32(a - b)), 0), 1);
    return f32(f32(f32(1 - w) * low) + f32(w * (low + 1)));
  }

  /**
   * Returns the trained timestep whose sigma is nearest in log space (k-diffusion's `quantize`); the lower one in a
   * tie.
   */
  sigmaToNearestT(sigma: number): number {
    const logSigma = f32(Math.log(f32(sigma)));
    const low = lastNotAbove(this.logSigmas, logSigma);
    if (low < 0) return 0;
    if (low === this.length - 1) return low;
    return logSigma - this.logSigmas[low]! <= this.logSigmas[low + 1]! - logSigma ? low : low + 1;
  }

  /** Returns the sigma of a timestep, interpolated in log space and clamped to [0, length - 1]. */
  tToSigma(t: number): number {
    const at = f32(Math.min(Math.max(t, 0), this.length - 1));
    const low = Math.floor(at);
    const w = f32(at - low);
    const logSigma = f32(f32(f32(1 - w) * this.logSigmas[low]!) + f32(w * this.logSigmas[Math.ceil(at)]!));
    return f32(Math.exp(logSigma));
  }
}

/** Computes the betas `[T]` in f64. `scaled_linear` is linear in the square root of beta (LDM's "linear"). */
function betasOf(config: SchedulerConfig): Float64Array {
  const { num_train_timesteps: steps, beta_start: start, beta_end: end } = config;
  if (!Number.isInteger(steps) || steps < 2 || steps > 1_000_000) {
    throw new SafelightError(
      'UNSUPPORTED_MODEL',
      `Expected an integer between 2 and 1000000 for num_train_timesteps in the scheduler config, received ${steps}`,
    );
  }
  const ramp = (from: number, to: number, i: number) => from + ((to - from) * i) / (steps - 1);
  switch (config.beta_schedule) {
    case 'scaled_linear':
      return Float64Array.from({ length: steps }, (_, i) => ramp(Math.sqrt(start), Math.sqrt(end), i) ** 2);
    case 'linear':
      return Float64Array.from({ length: steps }, (_, i) => ramp(start, end, i));
    case 'squaredcos_cap_v2': {
      // Nichol and Dhariwal 2021, arXiv:2102.09672, equation 17
      const alphaBar = (t: number) => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2;
      return Float64Array.from({ length: steps }, (_, i) =>
        Math.min(1 - alphaBar((i + 1) / steps) / alphaBar(i / steps), 0.999),
      );
    }
    default:
      throw new SafelightError('UNSUPPORTED_MODEL', `Unknown beta_schedule ${String(config.beta_schedule)}`);
  }
}

function alphasCumprodOf(betas: Float64Array): Float32Array {
  let product = 1;
  return Float32Array.from(betas, (beta) => (product *= 1 - beta));
}

/**
 * Shifts and scales sqrt(alphas_cumprod) so that the last timestep is pure noise and the first is unchanged (Lin et
 * al. 2023, arXiv:2305.08891, algorithm 1). Computes in f32 like A1111, because cancellation makes the last values
 * sensitive to rounding.
 */
function rescaleToZeroTerminalSnr(alphasCumprod: Float32Array): Float32Array {
  const roots = alphasCumprod.map(Math.sqrt);
  const [first, last] = [roots[0]!, roots[roots.length - 1]!];
  const scale = f32(first / f32(first - last));
  const rescaled = roots.map((root) => f32(f32(root - last) * scale) ** 2);
  rescaled[rescaled.length - 1] = LAST_ALPHA_OF_ZERO_SNR;
  return rescaled;
}

/** Returns the index of the last ascending value <= limit, or -1. */
function lastNotAbove(ascending: Float32Array, limit: number): number {
  let [low, high] = [-1, ascending.length];
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (ascending[middle]! <= limit) low = middle;
    else high = middle;
  }
  return low;
}

function strictlyAscends(values: Float32Array): boolean {
  return values.every((value, i) => Number.isFinite(value) && (i === 0 ? value > 0 : value > values[i - 1]!));
}
