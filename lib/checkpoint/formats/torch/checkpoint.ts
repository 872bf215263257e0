import { SafelightError } from '../../../errors.js';
import type { Checksum } from '../../weights/tensor-index.js';
import type { Fail, PickleValue, Storage } from './values.js';

/** A checkpoint as both of its forms give it: what was saved, and where the bytes of its storages are. */
export interface Checkpoint {
  readonly root: PickleValue;
  /** Absolute offset of a storage's first byte. */
  place(storage: Storage): number;
  /** Of the record that a storage is in, if the form has them. */
  checksum(storage: Storage): Checksum | undefined;
}

/** The largest real ones (SDXL with its optimizer's state) have some three megabytes. */
export const MAX_PICKLE = 32 * 1024 * 1024;

export function failure(path: string): Fail {
  return (what) => {
    throw new SafelightError(
      'INVALID_FILE',
      `${path} ${what}; it is damaged or no checkpoint of weights: download it again`,
    );
  };
}

export function bigEndian(path: string): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `${path} was saved on a big-endian machine, which is not read; save it on another, or as safetensors`,
  );
}
