/** Unshifted times of flow matching: 1 is noise, 0 is the image. */

/** Returns `n` evenly spaced times from 1 to `last`, as used by Stable Diffusion 3. */
export function evenTimes(n: number, last: number): number[] {
  return Array.from({ length: n }, (_, i) => (n > 1 ? 1 + (i / (n - 1)) * (last - 1) : 1));
}

/** Returns `n` evenly spaced times from 1 to 1 / n, as used by Flux, Qwen-Image, Z-Image and Chroma. */
export function trailingTimes(n: number): number[] {
  return Array.from({ length: n }, (_, i) => (n - i) / n);
}
