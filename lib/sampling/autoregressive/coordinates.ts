/** Codes of where in the picture each one is: the condition of taming's FacesHQ (`CoordStage`). */

import { invalidOption } from '../../errors.js';
import { checkSides } from './window.js';

const f32 = Math.fround;
const MOST_PIXELS = 2 ** 26;

/**
 * Pixels are numbered row by row in [0, 1); each square's mean, times the number of codes, is rounded to a code. Means lie on halves
 * often, so sums are rounded where PyTorch rounds them.
 *
 * @param height of the picture, in squares, as is `width`
 * @param factor pixels a side of a square
 * @param codes which the model has for it: the largest is below this for pictures of more than a few squares
 * @returns row by row
 */
export function coordinateIndices(height: number, width: number, factor: number, codes: number): Int32Array {
  checkSides({ height, width, factor });
  if (!(Number.isSafeInteger(codes) && codes >= 1))
    throw invalidOption('codes', 'integer of at least 1', codes);
  if (height * width * factor ** 2 > MOST_PIXELS)
    throw invalidOption('height x width', `at most ${MOST_PIXELS} pixels`, height * width * factor ** 2);
  const across = width * factor;
  const pixels = across * height * factor;
  return Int32Array.from({ length: height * width }, (_, n) => {
    const top = Math.floor(n / width) * factor;
    const left = (n % width) * factor;
    let sum = 0;
    for (let y = top; y < top + factor; y++) {
      for (let x = left; x < left + factor; x++) sum = f32(sum + f32((y * across + x) / pixels));
    }
    return roundHalfEven(f32(codes * f32(f32(sum / factor) / factor)));
  });
}

/** As PyTorch rounds. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
