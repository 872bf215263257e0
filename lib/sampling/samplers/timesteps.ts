/**
 * Timesteps of samplers that are defined or distilled on the model's discrete timesteps, on which they run unless a
 * schedule is requested. They are returned as sigmas, n + 1 for n steps, so that these samplers have the same interface as the
 * others.
 *
 * The references work on x_vp = x / sqrt(1 + sigma^2) (the variance-preserving scale of the network's input).
 */
import { invalidOption, SafelightError } from '../../errors.js';
import { DiscreteSchedule } from '../discrete-schedule.js';
import type { NoiseSchedule } from '../noise-schedule.js';
import type { Latent } from '../types.js';
import { combine } from '../vector.js';

/** Steps of the solver from which LCM and TCD models were distilled. */
const ORIGINAL_STEPS = 50;

/**
 * Returns the sigmas of timesteps `i * floor(T / n) + 1`, i = n - 1 ... 0, then that of timestep 0: diffusers'
 * `leading` spacing with `steps_offset` 1 and `set_alpha_to_one` false. The model's config may set another offset and
 * a final sigma of 0.
 * @throws INVALID_OPTION for more steps than the model has timesteps
 */
export function leadingSigmas(noiseSchedule: NoiseSchedule, steps: number): number[] {
  const schedule = trained(noiseSchedule);
  checkSteps(steps, schedule.length);
  const stride = Math.floor(schedule.length / steps);
  const timesteps = Array.from({ length: steps }, (_, i) => (steps - 1 - i) * stride + schedule.offset);
  // For n = T the first timestep would be T.
  const sigmas = timesteps.map((t) => schedule.sigmas[Math.min(t, schedule.length - 1)]!);
  return [...sigmas, schedule.endsClean ? 0 : schedule.sigmaMin];
}

/**
 * Returns the sigmas of n of the 50 timesteps `T / 50 * i - 1`, descending and evenly spaced by index, then `last`
 * (LCMScheduler and TCDScheduler of diffusers).
 * @throws INVALID_OPTION for more than 50 steps, or more than the model has timesteps
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

/** Returns the trained timestep of a sigma of the schedule. */
export function timestepOf(schedule: NoiseSchedule, sigma: number): number {
  return Math.round(schedule.sigmaToT(sigma));
}

/** Converts x at `sigma` to the variance-preserving scale, in which the references return the final latent. */
export function toVariancePreserving(x: Latent, sigma: number): Latent {
  return combine([1 / Math.sqrt(1 + sigma * sigma), x]);
}

/** @throws INVALID_OPTION for a model without discrete timesteps */
function trained(schedule: NoiseSchedule): DiscreteSchedule {
  if (schedule instanceof DiscreteSchedule) return schedule;
  throw new SafelightError(
    'INVALID_OPTION',
    'This sampler needs a model with discrete timesteps; pass the sigmas of a schedule instead',
  );
}

function checkSteps(steps: number, maxSteps: number): void {
  if (!Number.isInteger(steps) || steps < 1 || steps > maxSteps) {
    throw invalidOption('steps', `an integer between 1 and ${maxSteps}`, steps);
  }
}
