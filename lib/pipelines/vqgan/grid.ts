/** Code indices in the API: rows of integers, from the top. */
import { invalidOption } from '../../errors.js';
import { codeUsage } from '../../modules/code-usage.js';
import { apiLimits } from '../../options/limits.js';
import { Tensor } from '../../tensor/tensor.js';

/** Code indices `[H/f][W/f]`, each in [0, vocabulary). */
export type CodeGrid = readonly (readonly number[])[];

/** Statistics of an image's code indices. */
export interface CodebookUsage {
  /** Number of distinct codes that occur. */
  readonly used: number;
  /** Number of codes in the vocabulary. */
  readonly vocabulary: number;
  /** Exponential of the entropy of the code frequencies: 1 for a single code, `used` for equally frequent codes. */
  readonly perplexity: number;
}

/**
 * Validates code indices and converts them to a tensor `[1, h, w]`.
 * @param downsampleFactor pixels per code along each side, for the limit of the image size
 * @throws INVALID_OPTION for codes that are not a rectangle of integers within the vocabulary, or exceed the limits
 *   of image sizes
 */
export function checkGrid(codes: unknown, vocabulary: number, downsampleFactor: number): Tensor<Int32Array> {
  const rows: readonly unknown[] = Array.isArray(codes) ? codes : [];
  const first = rows[0];
  const width = Array.isArray(first) ? first.length : 0;
  if (width === 0) throw invalidOption('codes', 'an array of rows of code indices', codes);
  checkArea(rows.length, width, downsampleFactor);
  const out = new Int32Array(rows.length * width);
  for (const [y, row] of rows.entries()) {
    if (!Array.isArray(row) || row.length !== width)
      throw invalidOption(`codes[${y}]`, `a row of ${width} codes, the length of the first row`, row);
    for (let x = 0; x < width; x++) {
      const code: unknown = row[x];
      if (typeof code !== 'number' || !Number.isInteger(code) || code < 0 || code >= vocabulary)
        throw invalidOption(`codes[${y}][${x}]`, `an integer between 0 and ${vocabulary - 1}`, code);
      out[y * width + x] = code;
    }
  }
  return new Tensor(out, [1, rows.length, width]);
}

/** Checks the number of codes before memory is allocated for them. */
function checkArea(height: number, width: number, downsampleFactor: number): void {
  const sides = `${width} x ${height}`;
  const { maxSide, maxPixels } = apiLimits;
  if (Math.max(height, width) * downsampleFactor > maxSide)
    throw invalidOption('codes', `at most ${Math.floor(maxSide / downsampleFactor)} codes per side`, sides);
  if (height * width * downsampleFactor ** 2 > maxPixels)
    throw invalidOption('codes', `at most ${Math.floor(maxPixels / downsampleFactor ** 2)} codes`, sides);
}

/** Converts code indices `[1, h, w]` or `[h, w]` to rows. */
export function toGrid({ data, shape }: Tensor<Int32Array>): number[][] {
  const [height = 0, width = 0] = shape.slice(-2);
  return Array.from({ length: height }, (_, y) => [...data.subarray(y * width, (y + 1) * width)]);
}

/** Computes the statistics of code indices. */
export function usageOf(codes: Int32Array, vocabulary: number): CodebookUsage {
  const { used, perplexity } = codeUsage(codes, vocabulary);
  return { used, vocabulary, perplexity };
}
