/**
 * Returns how far rows `top` to `bottom` of an RGB image 64 pixels wide are from #2060a0: the mean difference
 * of red and blue.
 */
export function changeOf(pixels: Uint8Array, top: number, bottom: number): number {
  let sum = 0;
  for (let i = top * 64; i < bottom * 64; i++)
    sum += Math.abs(pixels[3 * i]! - 0x20) + Math.abs(pixels[3 * i + 2]! - 0xa0);
  return sum / ((bottom - top) * 64);
}
