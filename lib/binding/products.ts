import { cpuKernels, cpuProducts } from './backends.js';
import type { BackendName, Products } from './types.js';

/**
 * Returns true if graphs are to consist of stock ggml operations only, as on GPUs: if the caller wants it, or
 * `SAFELIGHT_KERNELS` is `off`, with which tests run everything without the kernels of the CPU.
 */
export function withoutKernels(stockOps: boolean | undefined): boolean {
  return stockOps === true || process.env.SAFELIGHT_KERNELS === 'off';
}

/**
 * Returns the number format of a module's products: f32 on GPUs and of stock operations; with `auto`, bf16 on processors with
 * units for it.
 */
export function productsOf(precision: Products | 'auto', backend: BackendName, stockOps?: boolean): Products {
  if (backend !== 'cpu' || withoutKernels(stockOps)) return 'f32';
  if (precision !== 'auto') return precision;
  return cpuProducts().includes('bf16') ? 'bf16' : 'f32';
}

/** Returns a name of the layout of weights for products: of their precision and the CPU's kernels. Undefined for f32. */
export function packedLayout(products: Products): string | undefined {
  return products === 'f32' ? undefined : `${products} ${cpuKernels()}`;
}
