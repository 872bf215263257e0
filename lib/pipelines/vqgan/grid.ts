/** Codes as callers give and get them: rows of whole numbers, from the top. */
import { invalidOption } from '../../errors.js';
import { codeUsage } from '../../modules/code-usage.js';
import { apiLimits } from '../../options/limits.js';
import { Tensor } from '../../tensor/tensor.js';

/** `[H/f][W/f]`, each in [0, vocabulary). */
export type CodeGrid = readonly (readonly number[])[];

/** How much of the vocabulary a picture's codes need. */
export interface CodebookUsage {
  /** Different codes among them. */
  readonly used: number;
  readonly vocabulary: number;
  /** exp of the entropy of how often each occurs: 1 if all are the same, `used` if all are equally frequent. */
  readonly perplexity: number;
}

/**
 * Codes that came from outside as `[1, h, w]`.
 * @param factor pixels a side of one code: bounds the picture
 * @throws INVALID_OPTION for anything but a rectangle of whole numbers within the vocabulary, or for more than a picture may have
 */
export function checkGrid(codes: unknown, vocabulary: number, downsampleFactor: number): Tensor<Int32Array> {
  const rows: readonly unknown[] = Array.isArray(codes) ? codes : [];
  const first = rows[0];
  const width = Array.isArray(first) ? first.length : 0;
  if (width === 0) throw invalidOption('codes', 'an array of rows of codes', codes);
  checkArea(rows.length, width, downsampleFactor);
  const out = new Int32Array(rows.length * width);
  for (const [y, row] of rows.entries()) {
    if (!Array.isArray(row) || row.length !== width)
      throw invalidOption(`codes[${y}]`, `a row of ${width} codes, as the first is`, row);
    for (let x = 0; x < width; x++) {
      const code: unknown = row[x];
      if (typeof code !== 'number' || !Number.isInteger(code) || code < 0 || code >= vocabulary)
        throw invalidOption(`codes[${y}][${x}]`, `integer between 0 and ${vocabulary - 1}`, code);
      out[y * width + x] = code;
    }
  }
  return new Tensor(out, [1, rows.length, width]);
}

/** Before anything is allocated for them. */
function checkArea(height: number, width: number, downsampleFactor: number): void {
  const sides = `${width} x ${height}`;
  const { maxSide, maxPixels } = apiLimits;
  if (Math.max(height, width) * downsampleFactor > maxSide)
    throw invalidOption('codes', `at most ${Math.floor(maxSide / downsampleFactor)} codes a side`, sides);
  if (height * width * downsampleFactor ** 2 > maxPixels)
    throw invalidOption('codes', `at most ${Math.floor(maxPixels / downsampleFactor ** 2)} codes`, sides);
}

/** Codes `[1, h, w]` or `[h, w]` as rows. */
export function toGrid({ data, shape }: Tensor<Int32Array>): number[][] {
  const [height = 0, width = 0] = shape.slice(-2);
  return Array.from({ length: height }, (_, y) => [...data.subarray(y * width, (y + 1) * width)]);
}

export function usageOf(codes: Int32Array, vocabulary: number): CodebookUsage {
  const { used, perplexity } = codeUsage(codes, vocabulary);
  return { used, vocabulary, perplexity };
}
