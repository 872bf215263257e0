import { linspace } from './linspace.js';
import type { Schedule } from './types.js';

/** Evenly spaced timesteps that stop one step before the first (as in Stability's `sgm`), then 0. */
export const sgmUniform: Schedule = (n, { schedule, sigmaMin, sigmaMax }) => [
  ...linspace(schedule.sigmaToT(sigmaMax), schedule.sigmaToT(sigmaMin), n + 1)
    .slice(0, -1)
    .map((t) => schedule.tToSigma(t)),
  0,
];
