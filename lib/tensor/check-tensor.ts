/** Tensors that callers give, held to the shape that is expected of them before anything is computed. */
import { invalidOption, SafelightError } from '../errors.js';
import { allFinite } from './stats.js';
import { type AnyTensor, type DType, Tensor } from './tensor.js';

/** A side of so many elements, or a letter (`B`, `h`) where any number from 1 on will do. */
export type Side = number | string;

/**
 * @param name the option or argument that it is
 * @param shape such as `['B', 4, 'h', 'w']`
 * @throws INVALID_OPTION for what is no tensor, SHAPE_MISMATCH for another shape or element type
 */
export function checkTensor(name: string, value: unknown, shape: readonly Side[]): Tensor {
  return checkShape(name, value, shape, 'f32') as Tensor;
}

/** The same of whole numbers (i32). */
export function checkIndices(name: string, value: unknown, shape: readonly Side[]): Tensor<Int32Array> {
  return checkShape(name, value, shape, 'i32') as Tensor<Int32Array>;
}

/** @throws NOT_FINITE */
export function checkFinite(name: string, { data }: AnyTensor): void {
  if (allFinite(data)) return;
  throw new SafelightError(
    'NOT_FINITE',
    `Expected finite numbers for ${name} but received some that are NaN or infinite`,
  );
}

function checkShape(name: string, value: unknown, shape: readonly Side[], dtype: DType): AnyTensor {
  const expected = `${dtype} [${shape.join(', ')}]`;
  if (!(value instanceof Tensor)) throw invalidOption(name, `a Tensor ${expected}`, value);
  const tensor: AnyTensor = value;
  const fits =
    tensor.dtype === dtype &&
    tensor.shape.length === shape.length &&
    tensor.shape.every((side, i) => (typeof shape[i] === 'number' ? side === shape[i] : side >= 1));
  if (!fits) throw mismatch(name, expected, `${tensor.dtype} [${tensor.shape.join(', ')}]`);
  // Memory that was transferred to another thread leaves an array of nothing behind.
  const size = tensor.shape.reduce((product, side) => product * side, 1);
  if (tensor.data.length !== size)
    throw mismatch(name, `${size} numbers`, `${tensor.data.length} (its memory was transferred)`);
  return tensor;
}

function mismatch(name: string, expected: string, received: string): SafelightError {
  return new SafelightError('SHAPE_MISMATCH', `Expected ${expected} for ${name} but received ${received}`);
}
