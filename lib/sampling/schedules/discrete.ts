import { linspace } from './linspace.js';
import type { Schedule } from './types.js';

/**
 * Evenly spaced timesteps from the last to the first (k-diffusion's `DiscreteSchedule.get_sigmas`), then 0. For flow
 * matching the times of Stable Diffusion 3: evenly spaced from 1 to the last time, then shifted (ComfyUI's `normal`,
 * diffusers without custom sigmas).
 */
export const discrete: Schedule = (n, { schedule }) => {
  const { flow, sigmas } = schedule;
  if (flow) return [...flow.spread(linspace(1, flow.lastTime, n)).map(Math.fround), 0];
  return [...linspace(sigmas.length - 1, 0, n).map((t) => schedule.tToSigma(t)), 0];
};
