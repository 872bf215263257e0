/** Validates tensors that callers pass, before any computation. */
import { invalidOption, SafelightError } from '../errors.js';
import { elementCount } from './shape.js';
import { allFinite } from './stats.js';
import { type AnyTensor, type DType, Tensor } from './tensor.js';

/** A dimension's size, or a letter (`B`, `h`) for any size of at least 1. */
export type Side = number | string;

/**
 * Checks a tensor of f32.
 * @param name name of the option or argument
 * @param shape expected shape, such as `['B', 4, 'h', 'w']`
 * @throws INVALID_OPTION if `value` is not a tensor, SHAPE_MISMATCH for another shape or element type
 */
export function checkTensor(name: string, value: unknown, shape: readonly Side[]): Tensor {
  return checkShape(name, value, shape, 'f32') as Tensor;
}

/** Checks a tensor of i32. @throws as `checkTensor` */
export function checkIndices(name: string, value: unknown, shape: readonly Side[]): Tensor<Int32Array> {
  return checkShape(name, value, shape, 'i32') as Tensor<Int32Array>;
}

/** @throws NOT_FINITE if the tensor contains NaN or an infinity */
export function checkFinite(name: string, { data }: AnyTensor): void {
  if (allFinite(data)) return;
  throw new SafelightError(
    'NOT_FINITE',
    `Expected finite numbers for ${name}, received NaN or infinite values.`,
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
  // Transferring memory to another thread leaves an empty array behind.
  const size = elementCount(tensor.shape);
  if (tensor.data.length !== size)
    throw mismatch(name, `${size} numbers`, `${tensor.data.length} (its memory was transferred)`);
  return tensor;
}

function mismatch(name: string, expected: string, received: string): SafelightError {
  return new SafelightError('SHAPE_MISMATCH', `Expected ${expected} for ${name}, received ${received}.`);
}
