import { SafelightError } from '../../../errors.js';
import type { Checksum } from '../../weights/tensor-index.js';
import type { Fail, PickleValue, Storage } from './values.js';

/** A checkpoint of either format: its root object, and the locations of its storages. */
export interface Checkpoint {
  readonly root: PickleValue;
  /** Returns the absolute offset of a storage's first byte. */
  offsetOf(storage: Storage): number;
  /** Returns the checksum of a storage's record, if the format has one. */
  checksum(storage: Storage): Checksum | undefined;
}

/** Size limit of pickles in bytes; the largest real ones (SDXL with its optimizer's state) have about 3 MB. */
export const MAX_PICKLE = 32 * 1024 * 1024;

export function failure(path: string): Fail {
  return (what) => {
    throw new SafelightError(
      'INVALID_FILE',
      `${path} ${what}; it is damaged or not a checkpoint of weights: download it again`,
    );
  };
}

export function bigEndian(path: string): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `${path} was saved on a big-endian machine, which is not supported; save it on a little-endian machine or as safetensors`,
  );
}
