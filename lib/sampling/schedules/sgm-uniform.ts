import { linspace } from './linspace.js';
import type { Schedule } from './types.js';

/** Evenly spaced timesteps (times for flow matching) without the lowest one, as in Stability AI's `sgm`, then 0. */
export const sgmUniform: Schedule = (n, { schedule, sigmaMin, sigmaMax }) => {
  const { flow } = schedule;
  if (flow) return [...flow.spread(linspace(1, flow.lastTime, n + 1).slice(0, -1)).map(Math.fround), 0];
  const timesteps = linspace(schedule.sigmaToT(sigmaMax), schedule.sigmaToT(sigmaMin), n + 1).slice(0, -1);
  return [...timesteps.map((t) => schedule.tToSigma(t)), 0];
};
