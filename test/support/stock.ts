/** Tests that also run with stock ggml operations instead of our kernels (vitest.config.ts, project `stock operations`). */

/** True if our kernels are off. */
export const stock = process.env.SAFELIGHT_KERNELS === 'off';

/** Error of stock operations relative to the largest value. ggml's convolutions round their inputs to f16. */
const STOCK_TOLERANCE = 1e-2;

/** Returns a tolerance of our kernels, or the larger one of stock operations if the kernels are off. */
export function tolerance(ofKernels: number): number {
  return stock ? Math.max(ofKernels, STOCK_TOLERANCE) : ofKernels;
}
