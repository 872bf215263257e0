import type { Schedule } from './types.js';

/**
 * Published schedules for 10 steps (Sabour et al. 2024, arXiv:2404.14507;
 * research.nvidia.com/labs/toronto-ai/AlignYourSteps).
 */
const STABLE_DIFFUSION_STEPS: readonly number[] = [
  14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029,
];
export const SDXL_STEPS: readonly number[] = [
  14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.38, 0.234, 0.113, 0.029,
];

/**
 * `n` points of the model's table (by default Stable Diffusion 1's), interpolated log-linearly, then 0. Ignores
 * sigmaMin and sigmaMax. As in A1111, a single step starts from the table's last sigma.
 */
export const alignYourSteps: Schedule = (n, { alignYourSteps: table = STABLE_DIFFUSION_STEPS }) => {
  const last = table.length - 1;
  const points = Array.from({ length: n }, (_, i) => {
    const at = n > 1 ? (i * last) / (n - 1) : last;
    const low = Math.min(Math.floor(at), last - 1);
    const [from, to] = [Math.log(table[low]!), Math.log(table[low + 1]!)];
    return n === table.length ? table[i]! : Math.exp(from + (at - low) * (to - from));
  });
  return [...points.map(Math.fround), 0];
};
