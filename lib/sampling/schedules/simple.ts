import { trailingTimes } from '../flow-times.js';
import type { Schedule } from './types.js';

/**
 * Every (T / n)th of the trained sigmas from the highest, index rounded down (ComfyUI, A1111), then 0. For flow
 * matching, n shifted times from 1 to 1 / n, as used by Flux, Qwen-Image and Z-Image.
 */
export const simple: Schedule = (n, { schedule: { flow, sigmas } }) => {
  if (flow) return [...flow.spread(trailingTimes(n)).map(Math.fround), 0];
  const { length } = sigmas;
  return [...Array.from({ length: n }, (_, i) => sigmas[length - 1 - Math.floor(i * (length / n))]!), 0];
};
