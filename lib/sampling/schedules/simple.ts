import type { Schedule } from './types.js';

/** Every (T / n)th of the trained sigmas from the highest, index rounded down (ComfyUI, A1111), then 0. */
export const simple: Schedule = (n, { schedule: { sigmas, length } }) => [
  ...Array.from({ length: n }, (_, i) => sigmas[length - 1 - Math.floor(i * (length / n))]!),
  0,
];
