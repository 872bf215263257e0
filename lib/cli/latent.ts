/** Latents from files of others: which arrays are taken. */
import { SafelightError } from '../errors.js';
import { type AnyTensor, Tensor } from '../tensor/tensor.js';

/** `[N, C, h, w]` f32 of an array of 3 or 4 dimensions, f64 rounded. @throws SHAPE_MISMATCH, INVALID_FILE */
export function asLatent(array: AnyTensor, name: string): Tensor {
  const { data, shape } = array;
  if (shape.length !== 3 && shape.length !== 4) {
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `'${name}' holds an array of shape [${shape.join(', ')}], not a latent [1, C, h, w]`,
    );
  }
  if (!(data instanceof Float32Array || data instanceof Float64Array)) {
    throw new SafelightError(
      'INVALID_FILE',
      `'${name}' holds whole numbers, not a latent of floating point numbers`,
    );
  }
  return Tensor.from(Float32Array.from(data), shape.length === 3 ? [1, ...shape] : shape);
}
