/** Validation of code indices and conditions, and their conversion to batches. */
import { invalidOption, SafelightError } from '../../errors.js';
import { knownKeys } from '../../known-keys.js';
import { Tensor } from '../../tensor/tensor.js';
import type { CodeIndices, CodeModel } from './types.js';

/**
 * Checks code indices, one row per image.
 *
 * @throws INVALID_OPTION for an empty list or an index outside `[0, vocabulary)`; SHAPE_MISMATCH for rows of
 *   different lengths
 */
export function checkCodeIndices(
  name: string,
  rows: readonly CodeIndices[],
  vocabulary: number,
): readonly CodeIndices[] {
  if (!Array.isArray(rows) || rows.length === 0)
    throw invalidOption(name, 'a non-empty array of code indices, one row per image', rows);
  for (const row of rows) {
    if (!isRow(row)) throw invalidOption(name, 'an array of code indices for each image', row);
    if (row.length !== rows[0]!.length) {
      throw new SafelightError(
        'SHAPE_MISMATCH',
        `Expected the same number of codes for each image in ${name}, received ${rows[0]!.length} and ${row.length}`,
      );
    }
    for (let i = 0; i < row.length; i++) {
      const code = row[i];
      if (!(Number.isInteger(code) && code! >= 0 && code! < vocabulary)) {
        throw invalidOption(name, `integers between 0 and ${vocabulary - 1}`, code);
      }
    }
  }
  return rows;
}

/** True for arrays and typed arrays. */
function isRow(row: unknown): boolean {
  return Array.isArray(row) || (ArrayBuffer.isView(row) && !(row instanceof DataView));
}

/** Checks the structure of a condition. @throws INVALID_OPTION */
export function checkCondition(condition: unknown): void {
  knownKeys('condition', condition, new Set(['kind', 'codes', 'image']));
  const { kind, codes } = condition as { kind?: unknown; codes?: unknown };
  if (kind !== 'grid' && kind !== 'tokens') throw invalidOption('condition.kind', "'grid' or 'tokens'", kind);
  if (typeof codes !== 'object' || codes === null)
    throw invalidOption('condition.codes', 'an array of code indices', codes);
}

/** @throws INVALID_OPTION for a value that does not implement `CodeModel` */
export function checkModel(model: unknown): void {
  const { vocabulary, block, forward, begin } = Object(model) as {
    readonly [K in keyof CodeModel]?: unknown;
  };
  const sized = [vocabulary, block].every((size) => Number.isSafeInteger(size) && Number(size) >= 1);
  if (!sized || typeof forward !== 'function' || typeof begin !== 'function')
    throw invalidOption('model', 'a loaded LatentTransformer', model);
}

/** Stacks rows of equal length to `[B, T]`. */
export function batchOf(rows: readonly CodeIndices[]): Tensor<Int32Array> {
  const length = rows[0]?.length ?? 0;
  const data = new Int32Array(rows.length * length);
  rows.forEach((row, b) => {
    data.set(row, b * length);
  });
  return new Tensor(data, [rows.length, length]);
}

/** Concatenates code indices. */
export function joinRows(...parts: readonly CodeIndices[]): Int32Array {
  const out = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}
