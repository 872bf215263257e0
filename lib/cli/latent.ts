/** Converts arrays from NumPy files to latents. */
import { SafelightError } from '../errors.js';
import { type AnyTensor, Tensor } from '../tensor/tensor.js';

/**
 * Converts an f32 or f64 array of 3 or 4 dimensions to an f32 latent `[N, C, h, w]`.
 * @throws SHAPE_MISMATCH, INVALID_FILE
 */
export function asLatent(array: AnyTensor, name: string): Tensor {
  const { data, shape } = array;
  if (shape.length !== 3 && shape.length !== 4) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `Expected '${name}' to contain a latent [1, C, h, w], received shape [${shape.join(', ')}]`,
    );
  }
  if (!(data instanceof Float32Array || data instanceof Float64Array)) {
    throw new SafelightError(
      'INVALID_FILE',
      `Expected '${name}' to contain a latent of floating-point numbers, received integers`,
    );
  }
  return Tensor.from(Float32Array.from(data), shape.length === 3 ? [1, ...shape] : shape);
}
