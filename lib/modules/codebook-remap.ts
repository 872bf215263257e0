/**
 * A table of the codes that training data used (`quantize.used`): outside, a code is its place in the table (taming's
 * VectorQuantizer2 with `remap`).
 */

import type { UnknownIndex } from '../checkpoint/config/types.js';
import { readValues } from '../checkpoint/weights/read-tensor.js';
import type { TensorInfo } from '../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../errors.js';

const MAX_CODES = 1 << 22;

/** Picks for an unknown code: a whole number from 0 on and below `below`. */
export type PickCode = (below: number) => number;

export class CodebookRemap {
  private readonly placeOf = new Map<number, number>();

  private constructor(
    /** Codes of the codebook, by their place. */
    readonly used: Int32Array,
    readonly unknown: UnknownIndex,
  ) {
    // The first place, where a code is listed twice.
    used.forEach((code, place) => {
      if (!this.placeOf.has(code)) this.placeOf.set(code, place);
    });
  }

  /** @param codes of the codebook. @throws INVALID_FILE for a table of other codes, UNSUPPORTED_MODEL, FILE_NOT_FOUND */
  static async read(table: TensorInfo, codes: number, unknown: UnknownIndex): Promise<CodebookRemap> {
    return CodebookRemap.of(
      await readValues(table, MAX_CODES),
      codes,
      unknown,
      `"${table.name}" in ${table.file}`,
    );
  }

  /** @param where for messages */
  static of(values: readonly number[], codes: number, unknown: UnknownIndex, where: string): CodebookRemap {
    const wrong = values.find((code) => !Number.isInteger(code) || code < 0 || code >= codes);
    if (wrong !== undefined || values.length === 0) {
      throw new SafelightError(
        'INVALID_FILE',
        `${where} is no table of the codebook's ${codes} codes (${wrong ?? 'it is empty'}); the file is damaged`,
      );
    }
    if (typeof unknown === 'number' && unknown >= values.length) {
      throw new SafelightError(
        'INVALID_FILE',
        `${where} has ${values.length} codes, so unknown_index cannot be ${unknown}; take the config that belongs to it`,
      );
    }
    return new CodebookRemap(Int32Array.from(values), unknown);
  }

  /** How many indices there are outside. */
  get size(): number {
    return this.used.length + (this.unknown === 'extra' ? 1 : 0);
  }

  /** Codes of the codebook as places. @param pick where unknown codes become a random place */
  toPlaces(codes: Int32Array, pick: PickCode): Int32Array {
    return codes.map((code) => {
      const place = this.placeOf.get(code);
      if (place !== undefined) return place;
      if (this.unknown === 'extra') return this.used.length;
      return this.unknown === 'random' ? pick(this.size) : this.unknown;
    });
  }

  /** Places as codes of the codebook; the one for unknown codes is the first of the table. */
  toIndices(places: Int32Array): Int32Array {
    return places.map((place) => this.used[place < this.used.length ? place : 0]!);
  }

  /** What is added to logits so that only codes of the table can win. */
  mask(codes: number): Float32Array {
    const mask = new Float32Array(codes).fill(-Infinity);
    for (const code of this.used) mask[code] = 0;
    return mask;
  }
}
