import type { Schedule } from './types.js';

/**
 * Every floor(T / n)th of the trained sigmas, starting at the second lowest, then 0; often more than n steps
 * (ComfyUI, A1111).
 */
export const ddim: Schedule = (n, { schedule: { sigmas } }) => {
  const { length } = sigmas;
  const stride = Math.max(Math.floor(length / n), 1);
  const ascending: number[] = [];
  for (let i = 1; i < length; i += stride) ascending.push(sigmas[i]!);
  return [...ascending.reverse(), 0];
};
