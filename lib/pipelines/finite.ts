import { SafelightError } from '../errors.js';
import { allFinite } from '../tensor/stats.js';
import type { TensorData } from '../tensor/tensor.js';

/** @throws NOT_FINITE naming `what` if it holds NaN or an infinity. */
export function throwIfNotFinite(data: TensorData, what: string): void {
  if (allFinite(data)) return;
  throw new SafelightError(
    'NOT_FINITE',
    `${what} holds NaN or infinite numbers: the weights are damaged or the settings (guidance, storage) are beyond the model`,
  );
}
