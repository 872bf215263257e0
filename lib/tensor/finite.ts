import { SafelightError } from '../errors.js';
import { allFinite } from './stats.js';
import type { TensorData } from './tensor.js';

/**
 * @param what name of the data in messages
 * @throws NOT_FINITE for NaN or an infinity; SHAPE_MISMATCH if the memory was transferred (`postMessage` with a
 *   transfer list)
 */
export function throwIfNotFinite(data: TensorData, what: string): void {
  if (data.length === 0)
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `${what} has no data: its memory was transferred to another thread`,
    );
  if (allFinite(data)) return;
  throw new SafelightError(
    'NOT_FINITE',
    `${what} contains NaN or infinite values: the weights are damaged, or settings such as guidance or storage exceed what the model supports`,
  );
}
