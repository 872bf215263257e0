/**
 * The timesteps of the samplers that own theirs: methods trained or defined on the model's discrete steps. They are given
 * as sigmas, n + 1 for n steps, so that these samplers run, start in the middle and report like the others.
 *
 * Their references work on x_vp = x / sqrt(1 + sigma^2) (the "variance preserving" scale of the network's input).
 */
import { invalidOption, SafelightError } from '../../errors.js';
import { DiscreteSchedule } from '../discrete-schedule.js';
import type { NoiseSchedule } from '../noise-schedule.js';
import type { Latent } from '../types.js';
import { combine } from '../vector.js';

/** Steps of the solver that LCM and TCD models were distilled from. */
const ORIGINAL_STEPS = 50;

/**
 * Sigmas at `i * floor(T / n) + 1`, i = n - 1 ... 0, then that of timestep 0: diffusers' `leading` spacing with
 * `steps_offset` 1, and its last step with `set_alpha_to_one` false. A model may set another offset, and a last step to sigma 0.
 * @throws INVALID_OPTION for more steps than the model has timesteps.
 */
export function leadingSigmas(noiseSchedule: NoiseSchedule, steps: number): number[] {
  const schedule = trained(noiseSchedule);
  checkSteps(steps, schedule.length);
  const stride = Math.floor(schedule.length / steps);
  const timesteps = Array.from({ length: steps }, (_, i) => (steps - 1 - i) * stride + schedule.offset);
  // n = T would begin one past the last timestep
  const sigmas = timesteps.map((t) => schedule.sigmas[Math.min(t, schedule.length - 1)]!);
  return [...sigmas, schedule.endsClean ? 0 : schedule.sigmaMin];
}

/**
 * Sigmas at n of the 50 timesteps `T / 50 * i - 1`, from the last one down and evenly spaced by index, then `last`
 * (diffusers' LCMScheduler and TCDScheduler).
 * @throws INVALID_OPTION for more than 50 steps, or a model with fewer timesteps.
 */
export function distilledSigmas(noiseSchedule: NoiseSchedule, steps: number, last: number): number[] {
  const schedule = trained(noiseSchedule);
  checkSteps(steps, Math.min(ORIGINAL_STEPS, schedule.length));
  const stride = Math.floor(schedule.length / ORIGINAL_STEPS) || 1;
  const originals = Math.min(ORIGINAL_STEPS, schedule.length);
  const timesteps = Array.from(
    { length: steps },
    (_, i) => (originals - Math.floor((i * originals) / steps)) * stride - 1,
  );
  return [...timesteps.map((t) => schedule.sigmas[t]!), last];
}

/** The trained timestep that a sigma of the schedule belongs to. */
export function timestepOf(schedule: NoiseSchedule, sigma: number): number {
  return Math.round(schedule.sigmaToT(sigma));
}

/** x at `sigma` in the variance-preserving scale, in which the references hand over their last latent. */
export function toVariancePreserving(x: Latent, sigma: number): Latent {
  return combine([1 / Math.sqrt(1 + sigma * sigma), x]);
}

/** @throws INVALID_OPTION on a model without discrete timesteps */
function trained(schedule: NoiseSchedule): DiscreteSchedule {
  if (schedule instanceof DiscreteSchedule) return schedule;
  throw new SafelightError(
    'INVALID_OPTION',
    'The model has no discrete timesteps for a sampler that owns its own: give it the sigmas of a schedule',
  );
}

function checkSteps(steps: number, most: number): void {
  if (!Number.isInteger(steps) || steps < 1 || steps > most) {
    throw invalidOption('steps', `integer between 1 and ${most}`, steps);
  }
}
