import { trailingTimes } from '../flow-times.js';
import type { Schedule } from './types.js';

/**
 * Every (T / n)th of the trained timesteps from the last, round(T - i * T / n) - 1, then 0: diffusers'
 * `timestep_spacing: 'trailing'` and Forge's "Turbo", on which most few-step models were distilled (Lin et al. 2023,
 * arXiv:2305.08891, table 2). For flow matching, n shifted times from 1 to 1 / n, as with `simple`.
 */
export const trailing: Schedule = (n, { schedule: { flow, sigmas } }) => {
  if (flow) return [...flow.spread(trailingTimes(n)).map(Math.fround), 0];
  const { length } = sigmas;
  const timesteps = Array.from({ length: n }, (_, i) =>
    Math.max(0, roundHalfToEven(length - i * (length / n)) - 1),
  );
  return [...timesteps.map((t) => sigmas[t]!), 0];
};

/** Rounds as NumPy does. */
function roundHalfToEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
