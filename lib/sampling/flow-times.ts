/** Times of flow matching before their shift: 1 is noise, 0 the image. */

/** 1 to `last`, n of them, evenly spaced: the times of Stable Diffusion 3. */
export function evenTimes(n: number, last: number): number[] {
  return Array.from({ length: n }, (_, i) => (n > 1 ? 1 + (i / (n - 1)) * (last - 1) : 1));
}

/** 1 to 1 / n, n of them, evenly spaced: the times of Flux, Qwen-Image, Z-Image and Chroma. */
export function trailingTimes(n: number): number[] {
  return Array.from({ length: n }, (_, i) => (n - i) / n);
}
