import { invalidOption } from '../../errors.js';
import type { Generator, Seed } from './generator.js';
import { TorchCpuGenerator } from './mt19937.js';
import { TorchCudaGenerator } from './philox.js';

export type { Generator, Seed } from './generator.js';
export { seedBits } from './generator.js';

/**
 * Generator: `cpu` for PyTorch's CPU generator (diffusers, ComfyUI, A1111 set to CPU), `cuda` for its CUDA generator
 * (A1111 set to NV).
 */
export type Rng = 'cpu' | 'cuda';

/**
 * Creates a seeded generator.
 * @throws INVALID_OPTION for an unknown generator or a seed that is not a 64-bit integer
 */
export function createGenerator(rng: Rng, seed: Seed): Generator {
  switch (rng) {
    case 'cpu':
      return new TorchCpuGenerator(seed);
    case 'cuda':
      return new TorchCudaGenerator(seed);
    default:
      throw invalidOption('rng', 'one of cpu, cuda', rng);
  }
}
