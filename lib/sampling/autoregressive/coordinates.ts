/**
 * Coordinate codes, which encode the position of each code in the image: the condition of taming's FacesHQ model
 * (`CoordStage`).
 */

import { invalidOption } from '../../errors.js';
import { checkSides } from './window.js';

const f32 = Math.fround;
const MAX_PIXELS = 2 ** 26;

/**
 * Computes the coordinate codes of an image. Pixels are numbered row by row in [0, 1); the mean of each square times
 * the number of codes is rounded to a code. Means are often halves, so sums are rounded exactly as in PyTorch.
 *
 * @param height of the image in squares
 * @param width of the image in squares
 * @param factor side length of a square in pixels
 * @param codes number of coordinate codes of the model
 * @returns codes row by row
 * @throws INVALID_OPTION
 */
export function coordinateIndices(height: number, width: number, factor: number, codes: number): Int32Array {
  checkSides({ height, width, factor });
  if (!(Number.isSafeInteger(codes) && codes >= 1))
    throw invalidOption('codes', 'an integer of at least 1', codes);
  if (height * width * factor ** 2 > MAX_PIXELS)
    throw invalidOption('height x width', `at most ${MAX_PIXELS} pixels`, height * width * factor ** 2);
  const columns = width * factor;
  const pixels = columns * height * factor;
  return Int32Array.from({ length: height * width }, (_, n) => {
    const top = Math.floor(n / width) * factor;
    const left = (n % width) * factor;
    let sum = 0;
    for (let y = top; y < top + factor; y++) {
      for (let x = left; x < left + factor; x++) sum = f32(sum + f32((y * columns + x) / pixels));
    }
    return roundHalfEven(f32(codes * f32(f32(sum / factor) / factor)));
  });
}

/** Rounds as PyTorch does. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
