/** Images for tests of the upscaler, from a fixed sequence of numbers. */
export interface TestImage {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3 | 4;
}

/** Returns an image of smooth shapes and noise; `value` replaces a channel of a pixel. */
export function testImage(
  width: number,
  height: number,
  channels: 1 | 3 | 4 = 3,
  value: (x: number, y: number, channel: number, usual: number) => number = (_x, _y, _c, usual) => usual,
): TestImage {
  const data = new Uint8Array(width * height * channels);
  let state = 1;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const [x, y, c] = [Math.floor(i / channels) % width, Math.floor(i / channels / width), i % channels];
    const wave = 110 * Math.sin((x + 17 * c) / 9) * Math.cos(y / 7);
    const usual = Math.round(127 + wave + (state / 2 ** 32) * 36 - 18);
    data[i] = Math.max(0, Math.min(255, value(x, y, c, usual)));
  }
  return { data, width, height, channels };
}

/** Returns the largest difference of two images of one size; infinite for different sizes. */
export function largestDifference(
  a: { readonly data: Uint8Array; readonly width: number },
  b: { readonly data: Uint8Array; readonly width: number },
): number {
  if (a.width !== b.width || a.data.length !== b.data.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < a.data.length; i++) largest = Math.max(largest, Math.abs(a.data[i]! - b.data[i]!));
  return largest;
}
