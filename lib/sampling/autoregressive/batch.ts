/** Codes of several pictures as a batch, checked where they come in. */
import { invalidOption, SafelightError } from '../../errors.js';
import { knownKeys } from '../../known-keys.js';
import { Tensor } from '../../tensor/tensor.js';
import type { CodeIndices, CodeModel } from './types.js';

/**
 * One row a picture.
 *
 * @throws INVALID_OPTION for no rows, or a code that is not in `[0, vocabulary)`; SHAPE_MISMATCH for rows of different lengths
 */
export function checkCodeIndices(
  name: string,
  rows: readonly CodeIndices[],
  vocabulary: number,
): readonly CodeIndices[] {
  if (!Array.isArray(rows) || rows.length === 0)
    throw invalidOption(name, 'codes of at least one picture', rows);
  for (const row of rows) {
    if (!isRow(row)) throw invalidOption(name, 'codes of each picture', row);
    if (row.length !== rows[0]!.length) {
      throw new SafelightError(
        'SHAPE_MISMATCH',
        `Expected as many codes for each picture in ${name} but received ${rows[0]!.length} and ${row.length}`,
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

/** Lists of numbers, and typed arrays. */
function isRow(row: unknown): boolean {
  return Array.isArray(row) || (ArrayBuffer.isView(row) && !(row instanceof DataView));
}

/** @throws INVALID_OPTION */
export function checkCondition(condition: unknown): void {
  knownKeys('condition', condition, new Set(['kind', 'codes', 'image']));
  const { kind, codes } = condition as { kind?: unknown; codes?: unknown };
  if (kind !== 'grid' && kind !== 'tokens') throw invalidOption('condition.kind', 'grid or tokens', kind);
  if (typeof codes !== 'object' || codes === null) throw invalidOption('condition.codes', 'codes', codes);
}

/** @throws INVALID_OPTION for what is no `LatentTransformer`, and not like one */
export function checkModel(model: unknown): void {
  const { vocabulary, block, forward, begin } = Object(model) as {
    readonly [K in keyof CodeModel]?: unknown;
  };
  const sized = [vocabulary, block].every((size) => Number.isSafeInteger(size) && Number(size) >= 1);
  if (!sized || typeof forward !== 'function' || typeof begin !== 'function')
    throw invalidOption('model', 'a loaded LatentTransformer', model);
}

/** Rows of equal length as `[B, T]`. */
export function batchOf(rows: readonly CodeIndices[]): Tensor<Int32Array> {
  const length = rows[0]?.length ?? 0;
  const data = new Int32Array(rows.length * length);
  rows.forEach((row, b) => {
    data.set(row, b * length);
  });
  return new Tensor(data, [rows.length, length]);
}

export function joinRows(...parts: readonly CodeIndices[]): Int32Array {
  const out = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
