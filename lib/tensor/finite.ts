import { SafelightError } from '../errors.js';
import { allFinite } from './stats.js';
import type { TensorData } from './tensor.js';

/** @throws NOT_FINITE naming `what` if it holds NaN or an infinity; SHAPE_MISMATCH if a caller gave its memory away (`postMessage` with a transfer list) */
export function throwIfNotFinite(data: TensorData, what: string): void {
  if (data.length === 0)
    throw new SafelightError(
      'SHAPE_MISMATCH',
      `${what} has no numbers: its memory was transferred to another thread`,
    );
  if (allFinite(data)) return;
  throw new SafelightError(
    'NOT_FINITE',
    `${what} holds NaN or infinite numbers: the weights are damaged or the settings (guidance, storage) are beyond the model`,
  );
}
