import { linspace } from './linspace.js';
import type { Schedule } from './types.js';

/** Evenly spaced timesteps from the last to the first (k-diffusion's `DiscreteSchedule.get_sigmas`), then 0. */
export const discrete: Schedule = (n, { schedule }) => [
  ...linspace(schedule.length - 1, 0, n).map((t) => schedule.tToSigma(t)),
  0,
];
