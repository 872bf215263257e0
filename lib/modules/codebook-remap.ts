/**
 * Remapping of a codebook to the codes that its training data used (`quantize.used`). The code indices that users see
 * are positions in this table (VectorQuantizer2 with `remap` in taming-transformers).
 */

import type { UnknownIndex } from '../checkpoint/config/types.js';
import { readValues } from '../checkpoint/weights/read-tensor.js';
import type { TensorInfo } from '../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../errors.js';

const MAX_CODES = 1 << 22;

/** Chooses a position for an unknown code: an integer of at least 0 and less than `below`. */
export type PickCode = (below: number) => number;

export class CodebookRemap {
  private readonly positionOf = new Map<number, number>();

  private constructor(
    /** The codebook's code at each position. */
    readonly used: Int32Array,
    readonly unknown: UnknownIndex,
  ) {
    // A code that is listed twice maps to its first position.
    used.forEach((code, position) => {
      if (!this.positionOf.has(code)) this.positionOf.set(code, position);
    });
  }

  /**
   * Reads the table from a checkpoint.
   * @param codes size of the codebook
   * @throws INVALID_FILE for entries outside the codebook, UNSUPPORTED_MODEL, FILE_NOT_FOUND
   */
  static async read(table: TensorInfo, codes: number, unknown: UnknownIndex): Promise<CodebookRemap> {
    return CodebookRemap.of(
      await readValues(table, MAX_CODES),
      codes,
      unknown,
      `"${table.name}" in ${table.file}`,
    );
  }

  /** @param where describes the source of the values in messages */
  static of(values: readonly number[], codes: number, unknown: UnknownIndex, where: string): CodebookRemap {
    const wrong = values.find((code) => !Number.isInteger(code) || code < 0 || code >= codes);
    if (wrong !== undefined || values.length === 0) {
      throw new SafelightError(
        'INVALID_FILE',
        wrong === undefined
          ? `${where} is empty, but has to list codes of the codebook; the file is damaged`
          : `${where} lists code ${wrong}, but the codebook has ${codes} codes; the file is damaged`,
      );
    }
    if (typeof unknown === 'number' && unknown >= values.length) {
      throw new SafelightError(
        'INVALID_FILE',
        `${where} lists ${values.length} codes, so unknown_index cannot be ${unknown}; use the config that belongs to this checkpoint`,
      );
    }
    return new CodebookRemap(Int32Array.from(values), unknown);
  }

  /** Number of distinct code indices after remapping. */
  get size(): number {
    return this.used.length + (this.unknown === 'extra' ? 1 : 0);
  }

  /** Converts codes of the codebook to positions. @param pick called for unknown codes if `unknown` is `random` */
  toPositions(codes: Int32Array, pick: PickCode): Int32Array {
    return codes.map((code) => {
      const position = this.positionOf.get(code);
      if (position !== undefined) return position;
      if (this.unknown === 'extra') return this.used.length;
      return this.unknown === 'random' ? pick(this.size) : this.unknown;
    });
  }

  /**
   * Converts positions to codes of the codebook; the extra position for unknown codes becomes the first code of the
   * table.
   */
  toCodes(positions: Int32Array): Int32Array {
    return positions.map((position) => this.used[position < this.used.length ? position : 0]!);
  }

  /** Returns a mask `[codes]` to add to logits: 0 for codes of the table, -Infinity for all others. */
  mask(codes: number): Float32Array {
    const mask = new Float32Array(codes).fill(-Infinity);
    for (const code of this.used) mask[code] = 0;
    return mask;
  }
}
