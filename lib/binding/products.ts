import { cpuKernels } from './backends.js';
import type { BackendName, Products } from './types.js';

/**
 * Returns the number format of a module's products: f32 on GPUs and of stock operations; with `auto`, bf16 on processors with
 * units for it.
 */
export function productsOf(precision: Products | 'auto', backend: BackendName, stockOps = false): Products {
  if (backend !== 'cpu' || stockOps) return 'f32';
  if (precision !== 'auto') return precision;
  return cpuKernels() === 'avx512bf16' ? 'bf16' : 'f32';
}
