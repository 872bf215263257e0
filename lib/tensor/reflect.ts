/** Padding by reflection. */
import { Tensor } from './tensor.js';

/** Returns the index in [0, length) that position i >= 0 reflects to, without repeating the edge. */
export function reflectedIndex(i: number, length: number): number {
  const period = Math.max(1, 2 * (length - 1));
  const place = i % period;
  return place < length ? place : period - place;
}

/** Pads `[B, C, H, W]` by reflection at the bottom and at the right, so that its sides are multiples of `multiple`. */
export function padReflected(image: Tensor, multiple: number): Tensor {
  const [batch = 0, channels = 0, height = 0, width = 0] = image.shape;
  const [rows, columns] = [height, width].map((side) => Math.ceil(side / multiple) * multiple) as [
    number,
    number,
  ];
  if (rows === height && columns === width) return image;
  const out = new Float32Array(batch * channels * rows * columns);
  const index = Int32Array.from({ length: columns }, (_, x) => reflectedIndex(x, width));
  let at = 0;
  for (let plane = 0; plane < batch * channels; plane++) {
    for (let y = 0; y < rows; y++) {
      const row = (plane * height + reflectedIndex(y, height)) * width;
      for (const x of index) out[at++] = image.data[row + x]!;
    }
  }
  return new Tensor(out, [batch, channels, rows, columns]);
}
