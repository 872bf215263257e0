/**
 * Noise schedule of flow matching (Lipman et al. 2023, arXiv:2210.02747; Esser et al. 2024, arXiv:2403.03206):
 * x = (1 - sigma) * x0 + sigma * noise, with times shifted towards noise for large images.
 * Reference: diffusers `FlowMatchEulerDiscreteScheduler`.
 */
import { invalidOption } from '../errors.js';
import { type CompleteFlowConfig, completeFlowConfig, type FlowConfig, shiftFactor } from './flow-config.js';
import { linearMu } from './flow-shift.js';
import type { FlowTimes, NoiseSchedule } from './noise-schedule.js';
import { inverseBeta } from './schedules/inverse-beta.js';

/** Input of dynamic shifting: mu, or the number of packed latent positions of the image, from which mu is computed. */
export interface FlowImage {
  readonly tokens?: number;
  readonly mu?: number;
}

/** Constants of diffusers' `_convert_to_karras` and `_convert_to_beta`. */
const RHO = 7;
const BETA = 0.6;

export class FlowSchedule implements NoiseSchedule, FlowTimes {
  readonly sigmas: Float32Array;
  readonly lastTime: number;
  private readonly config: CompleteFlowConfig;
  private readonly factor: number;

  /**
   * @param config of the checkpoint; for a custom static shift pass `{ ...config, use_dynamic_shifting: false, shift }`
   * @param image required with dynamic shifting, ignored otherwise, as in diffusers
   * @throws UNSUPPORTED_MODEL for an invalid config, INVALID_OPTION for dynamic shifting without an image
   */
  constructor(config: FlowConfig, image: FlowImage = {}) {
    this.config = completeFlowConfig(config);
    this.factor = shiftFactor(
      this.config,
      this.config.use_dynamic_shifting ? muOf(this.config, image) : undefined,
    );
    const { num_train_timesteps: length, use_dynamic_shifting: dynamic } = this.config;
    this.sigmas = Float32Array.from({ length }, (_, i) => this.shift((i + 1) / length));
    // diffusers applies a static shift twice: to the sigma table, and to the times derived from that table.
    this.lastTime = dynamic ? 1 / length : this.sigmaMin;
  }

  get flow(): FlowTimes {
    return this;
  }

  get sigmaMin(): number {
    return this.sigmas[0]!;
  }

  get sigmaMax(): number {
    return this.sigmas[this.sigmas.length - 1]!;
  }

  alpha(sigma: number): number {
    return 1 - sigma;
  }

  sigmaToT(sigma: number): number {
    return sigma * this.config.num_train_timesteps;
  }

  tToSigma(t: number): number {
    return t / this.config.num_train_timesteps;
  }

  shift(time: number): number {
    return time / (time + (1 - time) / this.factor); // exactly 1 at time 1 for every factor
  }

  spread(times: readonly number[]): number[] {
    const sigmas = times.map((time) => this.shift(time));
    const terminal = this.config.shift_terminal;
    const room = 1 - (sigmas[sigmas.length - 1] ?? 1);
    // A single step starts at pure noise, which stretching does not change.
    return terminal && room > 0 ? sigmas.map((sigma) => 1 - ((1 - sigma) * (1 - terminal)) / room) : sigmas;
  }

  /**
   * Computes sigmas from times like `FlowMatchEulerDiscreteScheduler.set_timesteps`: shifts them, stretches them to
   * the terminal sigma, replaces them by Karras, exponential or beta spacing if configured, rounds to f32 and appends
   * 0.
   *
   * @param times `trailingTimes` for pipelines that pass custom sigmas to diffusers' scheduler, otherwise `evenTimes`
   *   to `lastTime`
   * @throws INVALID_OPTION unless the times descend within (0, 1]
   */
  sigmasOf(times: readonly number[]): number[] {
    const descend = times.every((time, i) => time > 0 && time <= 1 && (i === 0 || time < times[i - 1]!));
    if (times.length === 0 || !descend)
      throw invalidOption('times', 'descending numbers within (0, 1]', times);
    return [...this.respaced(this.spread(times)).map(Math.fround), 0];
  }

  private respaced(sigmas: readonly number[]): readonly number[] {
    const { use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas } = this.config;
    const [high = 1, low = high] = [sigmas[0], sigmas[sigmas.length - 1]];
    const shares = sigmas.map((_, i) => i / Math.max(sigmas.length - 1, 1));
    if (use_karras_sigmas) {
      const [from, to] = [high ** (1 / RHO), low ** (1 / RHO)];
      return shares.map((share) => (from + share * (to - from)) ** RHO);
    }
    if (use_exponential_sigmas) return shares.map((share) => high ** (1 - share) * low ** share);
    if (use_beta_sigmas)
      return shares.map((share) => low + inverseBeta(1 - share, BETA, BETA) * (high - low));
    return sigmas;
  }
}

function muOf(config: CompleteFlowConfig, { tokens, mu }: FlowImage): number {
  if (mu !== undefined) {
    if (!Number.isFinite(mu)) throw invalidOption('mu', 'a finite number', mu);
    return mu;
  }
  if (tokens === undefined) {
    throw invalidOption(
      'tokens',
      "the number of the image's latent positions (the model uses dynamic shifting)",
      tokens,
    );
  }
  return linearMu(tokens, config);
}
