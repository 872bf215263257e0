/** Functions shared by samplers: intervals of a schedule, ancestral steps, churn and Brownian noise. */
import { isFlow, type NoiseSchedule } from '../noise-schedule.js';

import type { BrownianNoise, Latent, NoiseSource, SamplerOptions, SamplerStep } from '../types.js';
import { combine } from '../vector.js';

/** Index and sigmas of a step. */
export type Interval = Pick<SamplerStep, 'step' | 'steps' | 'sigma' | 'sigmaNext'>;

/** Returns the intervals between consecutive sigmas: n steps for n + 1 sigmas. */
export function intervals(sigmas: readonly number[]): Interval[] {
  const steps = sigmas.length - 1;
  return sigmas.slice(1).map((sigmaNext, step) => ({ step, steps, sigma: sigmas[step]!, sigmaNext }));
}

/**
 * Splits a step to `to` into a deterministic step to `down` and noise of standard deviation `up`, so that down^2 +
 * up^2 = to^2 (k-diffusion's `get_ancestral_step`; with eta 1 the variance of DDPM's posterior).
 */
export function ancestralStep(from: number, to: number, eta: number): { down: number; up: number } {
  if (eta === 0) return { down: to, up: 0 };
  const up = Math.min(to, (eta * to * Math.sqrt(from * from - to * to)) / from);
  return { down: Math.sqrt(to * to - up * up), up };
}

/**
 * A step to `down`, below the next sigma, after which x is multiplied by `scale` and noise of standard deviation `up`
 * is added.
 */
export interface RenoisedStep {
  readonly down: number;
  readonly scale: number;
  readonly up: number;
}

/**
 * Computes an ancestral step for either process. For flow matching, x is scaled by alpha(to) / alpha(down) when noise
 * is added. Reference: ComfyUI `sample_euler_ancestral_RF`; unlike there, `down` is clamped to 0 for eta above 1.
 */
export function renoisedStep(schedule: NoiseSchedule, from: number, to: number, eta: number): RenoisedStep {
  if (!isFlow(schedule)) return { ...ancestralStep(from, to, eta), scale: 1 };
  const down = to * Math.max(0, 1 + (to / from - 1) * eta);
  const scale = schedule.alpha(to) / schedule.alpha(down);
  return { down, scale, up: Math.sqrt(Math.max(0, to ** 2 - (scale * down) ** 2)) };
}

/**
 * Raises the noise level before a step (lines 5 and 6 of Algorithm 2, Karras et al. 2022). Like k-diffusion, consumes
 * noise at every step, including those whose level does not change, unless `sChurn` is 0.
 */
export function churn(
  x: Latent,
  { sigma, steps }: Interval,
  noise: NoiseSource,
  { sChurn = 0, sTmin = 0, sTmax = Number.POSITIVE_INFINITY, sNoise = 1 }: SamplerOptions,
): { x: Latent; sigma: number } {
  if (sChurn === 0) return { x, sigma };
  const eps = noise.next();
  const gamma = sTmin <= sigma && sigma <= sTmax ? Math.min(sChurn / steps, Math.SQRT2 - 1) : 0;
  if (gamma === 0) return { x, sigma };
  const sigmaHat = sigma * (gamma + 1);
  return { x: combine([1, x], [sNoise * Math.sqrt(sigmaHat ** 2 - sigma ** 2), eps]), sigma: sigmaHat };
}

/**
 * Returns the Brownian noise of an SDE sampler over the full schedule. It is created on first use, because a schedule
 * of one step has no interval to span. Sigmas are rounded to f32 as in the reference, because the tree resolves
 * differences of 1e-6.
 */
export function brownianOver(
  sigmas: readonly number[],
  noise: NoiseSource,
): (sigma: number, sigmaNext: number) => Promise<Latent> {
  let increments: BrownianNoise | undefined;
  return async (sigma, sigmaNext) => {
    if (increments === undefined) {
      const positive = sigmas.filter((value) => value > 0);
      increments = noise.brownian(Math.fround(Math.min(...positive)), Math.fround(Math.max(...positive)));
    }
    const { inTurns = increments } = increments;
    return inTurns(Math.fround(sigma), Math.fround(sigmaNext));
  };
}
