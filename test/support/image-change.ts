/** How far rows `top` to `bottom` of a 64 pixels wide RGB image are from #2060a0, in red and blue together, on average. */
export function changeOf(pixels: Uint8Array, top: number, bottom: number): number {
  let sum = 0;
  for (let i = top * 64; i < bottom * 64; i++)
    sum += Math.abs(pixels[3 * i]! - 0x20) + Math.abs(pixels[3 * i + 2]! - 0xa0);
  return sum / ((bottom - top) * 64);
}
