import { cpuKernels, cpuProducts } from './backends.js';
import type { BackendName, Products } from './types.js';

/**
 * Returns the number format of a module's products: f32 on GPUs and of stock operations; with `auto`, bf16 on processors with
 * units for it.
 */
export function productsOf(precision: Products | 'auto', backend: BackendName, stockOps = false): Products {
  if (backend !== 'cpu' || stockOps) return 'f32';
  if (precision !== 'auto') return precision;
  return cpuProducts().includes('bf16') ? 'bf16' : 'f32';
}

/** Returns a name of the layout of weights for products: of their precision and the CPU's kernels. Undefined for f32. */
export function packedLayout(products: Products): string | undefined {
  return products === 'f32' ? undefined : `${products} ${cpuKernels()}`;
}
