/** Parts that the samplers share: the walk over a schedule and the three ways of adding noise on it. */
import { isFlow, type NoiseSchedule } from '../noise-schedule.js';

import type { BrownianNoise, Latent, NoiseSource, SamplerOptions, SamplerStep } from '../types.js';
import { combine } from '../vector.js';

/** Where a step begins and ends. */
export type Interval = Pick<SamplerStep, 'step' | 'steps' | 'sigma' | 'sigmaNext'>;

/** The intervals between consecutive sigmas; n + 1 sigmas make n steps. */
export function intervals(sigmas: readonly number[]): Interval[] {
  const steps = sigmas.length - 1;
  return sigmas.slice(1).map((sigmaNext, step) => ({ step, steps, sigma: sigmas[step]!, sigmaNext }));
}

/**
 * Splits a step to `to` into a deterministic one to `down` and noise of size `up`, so that down^2 + up^2 = to^2
 * (k-diffusion's `get_ancestral_step`; with eta 1 the variance of DDPM's posterior).
 */
export function ancestralStep(from: number, to: number, eta: number): { down: number; up: number } {
  if (eta === 0) return { down: to, up: 0 };
  const up = Math.min(to, (eta * to * Math.sqrt(from * from - to * to)) / from);
  return { down: Math.sqrt(to * to - up * up), up };
}

/** A step to a lower sigma than the next, after which x is multiplied by `kept` and noise of size `up` is added to it. */
export interface RenoisedStep {
  readonly down: number;
  readonly kept: number;
  readonly up: number;
}

/**
 * The ancestral step of either process. On a flow x has to shrink where it gains noise: from `down` back to `to` its factor is
 * alpha(to) / alpha(down). Reference: ComfyUI `sample_euler_ancestral_RF`, beyond whose eta of 1 `down` stays at 0.
 */
export function renoisedStep(schedule: NoiseSchedule, from: number, to: number, eta: number): RenoisedStep {
  if (!isFlow(schedule)) return { ...ancestralStep(from, to, eta), kept: 1 };
  const down = to * Math.max(0, 1 + (to / from - 1) * eta);
  const kept = schedule.alpha(to) / schedule.alpha(down);
  return { down, kept, up: Math.sqrt(Math.max(0, to ** 2 - (kept * down) ** 2)) };
}

/**
 * Raises the noise level before a step (lines 5 and 6 of Algorithm 2, Karras et al. 2022). k-diffusion draws at every
 * step, also where the level stays, which matters to later draws only if there is churn at all.
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
 * The Brownian noise of an SDE sampler over the whole schedule, made when it is first asked for: a schedule of one step
 * has no interval to span. Sigmas are rounded to the f32 in which the reference keeps them, because the tree resolves
 * 1e-6 and gives another number for another time.
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
