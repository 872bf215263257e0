// @ts-check
import sharp from 'sharp';

/**
 * Compares the color values of two image files of equal size.
 * @param {string} one @param {string} other
 * @returns {Promise<{ most: number, differing: number, values: number }>} the largest difference of 255, how many values
 *   differ, and of how many
 */
export async function difference(one, other) {
  const [a, b] = await Promise.all([one, other].map((file) => sharp(file).removeAlpha().raw().toBuffer()));
  if (!a || !b || a.length === 0 || a.length !== b.length)
    throw new Error(`Expected images of equal size, received ${a?.length} and ${b?.length} values`);
  let most = 0;
  let differing = 0;
  for (const [i, value] of a.entries()) {
    const distance = Math.abs(value - (b[i] ?? 0));
    most = Math.max(most, distance);
    if (distance > 0) differing++;
  }
  return { most, differing, values: a.length };
}
